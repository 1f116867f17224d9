"""A variant of a training is a row, and what a row names exists."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from SegAutoPlanLib.command_line import build_parser
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.losses import LOSSES, build_loss
from SegAutoPlanLib.networks import read_checkpoint, write_checkpoint
from SegAutoPlanLib.training import RECIPES, EpochLog, find_recipe
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS
from SegAutoPlanLib.training.epoch_log import NNUNET_NAMES, from_nnunet, to_nnunet
from SegAutoPlanLib.training.metrics import moving_average
from SegAutoPlanLib.training.optimizers import OPTIMIZERS
from SegAutoPlanLib.training.schedules import learning_rate_at

LABELS = LabelScheme((("background", 0), ("a", 1)))
REGIONS = LabelScheme((("background", 0), ("whole", (1, 2)), ("core", 2)), (1, 2))
EPOCHS = (
    EpochLog(math.nan, None, (math.nan, 0.0), 0.5, 0.25, 0.01, 100.0, 101.5),
    EpochLog(0.5, 0.5, (0.75, 0.25), -0.5, -0.25, 0.009, 102.0, 103.5),
)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_whatever_a_recipe_names_is_there(recipe):
    assert learning_rate_at(recipe, 0) > learning_rate_at(recipe, recipe.epochs - 1) > 0
    assert set(recipe.mirror_axes(3)) <= {0, 1, 2}
    assert recipe.augmentation in AUGMENTATIONS
    assert OPTIMIZERS[recipe.optimizer]([torch.nn.Parameter(torch.ones(1))], recipe).param_groups
    assert any(build_loss(recipe.loss, labels, batch_dice=False) for labels in (LABELS, REGIONS))


@pytest.mark.parametrize(
    ("name", "trainer", "changed"),
    [
        ("250epochs", "nnUNetTrainer_250epochs", {"epochs"}),
        ("nomirroring", "nnUNetTrainerNoMirroring", {"mirroring"}),
        ("noaugmentation", "nnUNetTrainerNoDA", {"augmentation", "mirroring"}),
        ("nodeepsupervision", "nnUNetTrainerNoDeepSupervision", {"deep_supervision"}),
    ],
)
def test_a_variant_of_nnunet_has_its_name_and_changes_nothing_else(name, trainer, changed):
    assert RECIPES[name].trainer_name == trainer
    assert changed_fields(RECIPES[name]) == changed


def test_no_two_recipes_that_differ_from_nnunets_share_a_result_folder():
    names = [recipe.trainer_name for recipe in RECIPES.values() if recipe.name != "short"]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("table", [RECIPES, LOSSES], ids=["recipes", "losses"])
def test_the_command_line_lists_every_name(table, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["train", "--help"])
    assert set(table) <= set(capsys.readouterr().out.replace(",", " ").split())


def changed_fields(recipe) -> set[str]:
    default = vars(RECIPES["default"])
    return {name for name, value in vars(recipe).items() if value != default[name]} - {"name", "trainer_name"}


def test_a_recipe_can_be_written_into_a_checkpoint_as_plain_values(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    write_checkpoint(path, {"network_weights": {}, "recipe": vars(RECIPES["short"])})
    assert read_checkpoint(path)["recipe"] == dataclasses.asdict(RECIPES["short"])


def test_the_learning_rate_falls_as_nnunets():
    recipe = RECIPES["default"]
    rates = [learning_rate_at(recipe, epoch) for epoch in (0, 500, 999)]
    assert rates == pytest.approx([0.01, 0.00535887, 1.99526e-5], rel=1e-5)


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(UserInputError, match="short"):
        find_recipe("fastest")


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
