"""A variant of a training is a row, and what a row names exists."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.losses import LOSSES
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.training import RECIPES, EpochLog, Recipe, find_recipe
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS
from SegAutoPlanLib.training.epoch_log import NNUNET_NAMES, from_nnunet, to_nnunet
from SegAutoPlanLib.training.metrics import moving_average
from SegAutoPlanLib.training.mirroring import MIRRORINGS
from SegAutoPlanLib.training.optimizers import OPTIMIZERS
from SegAutoPlanLib.training.schedules import SCHEDULES


def test_the_learning_rate_falls_as_nnunets():
    recipe = RECIPES["default"]
    rates = [recipe.learning_rate_at(epoch) for epoch in (0, 500, 999)]
    assert rates == pytest.approx([0.01, 0.00535887, 1.99526e-5], rel=1e-5)


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(UserInputError, match="short"):
        find_recipe("fastest")


def test_an_epoch_that_saw_no_class_leaves_the_moving_average_alone():
    assert moving_average(None, math.nan) is None
    assert moving_average(0.5, math.nan) == 0.5
    assert moving_average(0.5, 1.0) == pytest.approx(0.55)


def test_nnunets_numpy_scalars_in_the_log_can_be_read(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    torch.save({"network_weights": {}, "logging": {"lrs": [np.float64(0.01), np.float32(0.5)]}}, path)
    assert read_checkpoint(path)["logging"]["lrs"] == [0.01, 0.5]


