"""The curves of a training come back from nnU-Net's lists, and an average survives what is not known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.training import EpochLog
from SegAutoPlanLib.training.epoch_log import NNUNET_NAMES, from_nnunet, to_nnunet
from SegAutoPlanLib.training.metrics import moving_average

EPOCHS = (
    EpochLog(math.nan, None, (math.nan, 0.0), 0.5, 0.25, 0.01, 100.0, 101.5),
    EpochLog(0.5, 0.5, (0.75, 0.25), -0.5, -0.25, 0.009, 102.0, 103.5),
)


def test_an_epoch_that_saw_no_class_leaves_the_moving_average_alone():
    assert moving_average(None, math.nan) is None
    assert moving_average(0.5, math.nan) == 0.5
    assert moving_average(0.5, 1.0) == pytest.approx(0.55)


def test_the_log_comes_back_from_nnunets_lists():
    lists = to_nnunet(EPOCHS)
    assert lists["train_losses"] == [0.5, -0.5]
    assert lists["dice_per_class_or_region"][1] == [0.75, 0.25]
    # NaN is unlike itself, so the words are compared.
    assert repr(from_nnunet(lists)) == repr(EPOCHS)


def test_the_log_of_nnunet_has_numpys_numbers(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    lists = {
        "train_losses": [np.float32(-0.5)],
        "lrs": [0.5],
        "ema_fg_dice": [np.float64(0.75)],
        "dice_per_class_or_region": [[np.float64(0.25), np.float32(0.5)]],
    }
    torch.save({"network_weights": {}, "logging": lists}, path)
    (epoch,) = from_nnunet(read_checkpoint(path)["logging"])
    values = (epoch.train_loss, epoch.learning_rate, epoch.ema_dice, *epoch.dice)
    assert values == (-0.5, 0.5, 0.75, 0.25, 0.5)
    assert {type(value) for value in values} == {float}


def test_what_a_log_leaves_out_is_not_known():
    first, second = from_nnunet({"train_losses": [0.5, 0.25], "ema_fg_dice": [0.75]})
    assert (first.train_loss, first.ema_dice, first.dice) == (0.5, 0.75, ())
    assert (second.train_loss, second.ema_dice) == (0.25, None)
    assert math.isnan(second.val_loss)
    assert from_nnunet({}) == ()


def test_an_average_that_nnunet_lost_is_begun_anew():
    (epoch,) = from_nnunet({"ema_fg_dice": [math.nan]})
    assert moving_average(epoch.ema_dice, 0.5) == 0.5


def test_every_field_of_the_log_has_nnunets_name():
    assert NNUNET_NAMES.keys() == {field.name for field in dataclasses.fields(EpochLog)}
