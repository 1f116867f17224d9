"""A variant of a training is a row, what a row names exists, and nnU-Net's users find theirs."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.command_line import build_parser
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.losses import LOSSES, build_loss
from SegAutoPlanLib.models import TRAINERS
from SegAutoPlanLib.networks import read_checkpoint, write_checkpoint
from SegAutoPlanLib.networks.blocks import NORMALIZATIONS
from SegAutoPlanLib.schema import problem_of
from SegAutoPlanLib.training import RECIPES, Recipe, find_recipe
from SegAutoPlanLib.training.course import timed_recipe
from SegAutoPlanLib.training.optimizers import OPTIMIZERS
from SegAutoPlanLib.training.recipe_rules import RULES, idle_fields
from SegAutoPlanLib.training.recipes import BY_TRAINER, LEFT_OUT, NAMED_RECIPES
from SegAutoPlanLib.training.sampling import OVERSAMPLINGS
from SegAutoPlanLib.training.schedules import learning_rate_at

LABELS = LabelScheme((("background", 0), ("a", 1)))
REGIONS = LabelScheme((("background", 0), ("whole", (1, 2)), ("core", 2)), (1, 2))

LENGTHS = ("1epoch", *(f"{n}epochs" for n in (5, 10, 20, 50, 100, 250, 500, 750, 2000, 4000, 8000)))
NNUNET_TRAINERS = (
    "nnUNetTrainer",
    *(f"nnUNetTrainer_{length}" for length in LENGTHS),
    *(f"nnUNetTrainer_{n}epochs_NoMirroring" for n in (250, 2000, 4000, 8000)),
    *(f"nnUNetTrainer{name}" for name in ("NoMirroring", "NoDA", "DA5", "DA5Segord0", "DA5ord0", "DA5_10epochs")),
    *(f"nnUNetTrainer_onlyMirror01{ending}" for ending in ("", "_1500ep", "_DASegOrd0", "_DA5")),
    *(f"nnUNetTrainer_{name}" for name in ("DASegOrd0", "DASegOrd0_NoMirroring", "noDummy2DDA", "warmup")),
    *(f"nnUNetTrainer{name}" for name in ("CELoss", "CELoss_5epochs", "DiceLoss", "DiceCELoss_noSmooth")),
    *(f"nnUNetTrainer{name}" for name in ("Topk10Loss", "Topk10LossLS01", "DiceTopK10Loss", "CosAnneal")),
    *(f"nnUNetTrainer{name}{rate}" for name in ("Adam", "VanillaAdam", "Adan") for rate in ("", "1en3", "3en4")),
    *(f"nnUNetTrainer{name}" for name in ("Adan1en1", "AdanCosAnneal", "BN", "NoDeepSupervision")),
    *(f"nnUNetTrainer_probabilisticOversampling{share}" for share in ("", "_033", "_010")),
    "nnUNet_Trainer_BS8",
    "nnUNetTrainerBenchmark_5epochs",
    "nnUNetTrainerBenchmark_5epochs_noDataLoading",
    *(f"nnUNet_Primus{version}{size}_Trainer" for version in ("_", "V2", "V3") for size in "SBML"),
    "PretrainedTrainer",
    "DynamicPretrainedTrainer",
)
"""Of nnU-Net 2.8.1 and of what came after it."""


ROWS = [pytest.param(recipe, id=recipe.name) for recipe in RECIPES.values()]


@pytest.mark.parametrize("recipe", ROWS)
def test_whatever_a_recipe_names_is_there(recipe):
    assert {field: problem_of(rule, getattr(recipe, field)) for field, rule in RULES.items()} == dict.fromkeys(RULES)
    assert all(rate > 0 for rate in (learning_rate_at(recipe, 0), learning_rate_at(recipe, recipe.epochs - 1)))
    assert set(recipe.mirror_axes(3)) <= {0, 1, 2}
    assert OPTIMIZERS[recipe.optimizer]([torch.nn.Parameter(torch.ones(1))], recipe).param_groups
    fitting = [labels for labels in (LABELS, REGIONS) if recipe.loss is None or LOSSES[recipe.loss].fits(labels)]
    assert [build_loss(recipe.loss, labels, batch_dice=False) for labels in fitting]


def test_every_field_but_the_names_has_one_rule():
    names = {"name", "trainer_name", "results_name"}
    assert {field.name for field in dataclasses.fields(Recipe)} - names == RULES.keys()


def test_tables_that_need_no_torch_name_what_those_with_torch_have():
    assert TRAINERS.keys() == NORMALIZATIONS.keys()


@pytest.mark.parametrize("trainer", NNUNET_TRAINERS)
def test_every_trainer_of_nnunet_is_a_row_or_left_out_with_a_reason(trainer):
    if trainer in BY_TRAINER:
        assert find_recipe(trainer).trainer_name == trainer
        return
    with pytest.raises(UserInputError, match=r"is not offered, because .*\.$") as refusal:
        find_recipe(trainer)
    assert trainer in str(refusal.value)


def test_no_row_has_a_name_that_nnunet_does_not_know():
    assert {recipe.trainer_name for recipe in RECIPES.values()} <= set(NNUNET_TRAINERS)
    assert all(any(trainer.startswith(start) for trainer in (*NNUNET_TRAINERS, "AbstractPrimus", "_Primus_S_96_BS1"))
               for start in LEFT_OUT)  # fmt: skip


@pytest.mark.parametrize(
    ("trainer", "changed"),
    [
        ("nnUNetTrainer", {}),
        ("nnUNetTrainer_1epoch", {"epochs": 1}),
        ("nnUNetTrainer_250epochs_NoMirroring", {"epochs": 250, "mirroring": "none"}),
        ("nnUNetTrainer_onlyMirror01_1500ep", {"epochs": 1500, "mirroring": "all_but_last"}),
        ("nnUNetTrainerNoDA", {"augmentation": "none", "mirroring": "none"}),
        ("nnUNetTrainer_onlyMirror01_DA5", {"augmentation": "da5", "mirroring": "all_but_last"}),
        ("nnUNetTrainerDA5Segord0", {"augmentation": "da5_order0_labels"}),
        ("nnUNetTrainerDA5ord0", {"augmentation": "da5_order0"}),
        ("nnUNetTrainerCELoss_5epochs", {"loss": "ce", "epochs": 5}),
        ("nnUNetTrainerAdam1en3", {"optimizer": "adamw_amsgrad", "learning_rate": 1e-3}),
        ("nnUNetTrainerVanillaAdam", {"optimizer": "adam"}),
        ("nnUNetTrainerVanillaAdam3en4", {"optimizer": "adam", "learning_rate": 3e-4}),
        ("nnUNetTrainerCosAnneal", {"schedule": "cosine"}),
        ("nnUNetTrainer_warmup", {"warmup_epochs": 50}),
        ("nnUNetTrainerNoDeepSupervision", {"deep_supervision": False}),
        ("nnUNetTrainerBN", {"normalization": "batch"}),
        ("nnUNet_Trainer_BS8", {"batch_size": 8}),
        ("nnUNetTrainer_probabilisticOversampling", {"oversampling": "coin_as_last"}),
        ("nnUNetTrainer_probabilisticOversampling_033", {"oversampling": "coin"}),
        ("nnUNetTrainer_probabilisticOversampling_010", {"oversampling": "coin", "oversample_foreground": 0.1}),
        ("nnUNetTrainerBenchmark_5epochs_noDataLoading", {"epochs": 5, "benchmark": "without_loading"}),
    ],
)
def test_a_variant_of_nnunet_changes_what_its_name_says_and_nothing_else(trainer, changed):
    default = vars(RECIPES["default"])
    names = ("name", "trainer_name")
    found = vars(find_recipe(trainer)).items()
    assert {name: value for name, value in found if value != default[name] and name not in names} == changed


def test_no_two_recipes_that_differ_from_nnunets_share_a_result_folder():
    names = [recipe.folder_name for recipe in RECIPES.values() if recipe.name != "short"]
    assert len(names) == len(set(names))


def test_the_command_line_lists_every_loss(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["train", "--help"])
    words = capsys.readouterr().out.replace(",", " ").replace(";", " ").split()
    assert set(LOSSES) <= set(words)


def test_the_verb_recipes_lists_every_recipe_with_what_it_changes_and_when_to_take_it(capsys, tmp_path):
    assert main(["recipes", "--json", "--workspace", str(tmp_path)]) == 0
    table = {row["name"]: row for row in json.loads(capsys.readouterr().out)["recipes"]}
    assert table.keys() == RECIPES.keys()
    assert table["warmup"]["differs"] == "warmup epochs 50"
    assert table["adam_0.001"]["differs"] == "optimizer adam, learning rate 0.001"
    assert table["default"]["differs"] == "nothing"
    assert all(row["advice"] and row["differs"] for row in table.values())
    assert main(["recipes", "--workspace", str(tmp_path)]) == 0
    words = capsys.readouterr().out
    assert all(row.advice in words and row.recipe.trainer_name in words for row in NAMED_RECIPES)


def test_a_recipe_can_be_written_into_a_checkpoint_as_plain_values(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    write_checkpoint(path, {"network_weights": {}, "recipe": vars(RECIPES["short"])})
    assert read_checkpoint(path)["recipe"] == dataclasses.asdict(RECIPES["short"])


def test_the_learning_rate_falls_as_nnunets():
    rates = [learning_rate_at(RECIPES["default"], epoch) for epoch in (0, 500, 999)]
    assert rates == pytest.approx([0.01, 0.00535887, 1.99526e-5], rel=1e-5)


def test_the_cosine_is_torchs():
    """Which nnU-Net asks for each epoch by its number."""
    recipe = find_recipe("cosine", epochs=40)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=recipe.learning_rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for epoch in range(40):
        assert learning_rate_at(recipe, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()
    assert learning_rate_at(recipe, 40) == pytest.approx(0, abs=1e-12)


def test_a_warm_up_rises_to_the_full_rate_and_falls_from_there():
    """The expected values are what nnU-Net 2.8.1's two schedulers give."""
    rates = [learning_rate_at(RECIPES["warmup"], epoch) for epoch in (0, 24, 49, 50, 525, 999)]
    assert rates == pytest.approx([0.0002, 0.005, 0.01, 0.01, 0.005358867312681466, 2.0895306948576246e-05], rel=1e-12)


@pytest.mark.parametrize("name", ["default", "cosine", "warmup", "short"])
def test_between_two_epochs_the_learning_rate_lies_between_theirs(name):
    recipe = RECIPES[name]
    for epoch in range(0, recipe.epochs - 1, max(1, recipe.epochs // 40)):
        before, after = learning_rate_at(recipe, epoch), learning_rate_at(recipe, epoch + 1)
        assert min(before, after) <= learning_rate_at(recipe, epoch + 0.5) <= max(before, after)
    assert learning_rate_at(recipe, float(recipe.epochs)) == pytest.approx(0, abs=1e-9)


def test_nnunets_adam_is_adamw_with_amsgrad_and_its_plain_one_is_not():
    parameters = [torch.nn.Parameter(torch.ones(1))]
    made = {name: OPTIMIZERS[name](parameters, RECIPES["default"]) for name in OPTIMIZERS}
    kinds = {name: (type(optimizer).__name__, optimizer.defaults.get("amsgrad")) for name, optimizer in made.items()}
    assert kinds == {
        "sgd": ("SGD", None),
        "adam": ("Adam", False),
        "adamw": ("AdamW", False),
        "adamw_amsgrad": ("AdamW", True),
    }
    assert {optimizer.defaults["weight_decay"] for optimizer in made.values()} == {3e-5}
    assert made["adam"].defaults["betas"] == (0.9, 0.999)


def test_in_plane_mirroring_leaves_the_last_axis_alone():
    recipe = find_recipe("nnUNetTrainer_onlyMirror01")
    assert (recipe.mirror_axes(3), recipe.mirror_axes(2)) == ((0, 1), (0,))


def test_a_coin_forces_as_many_samples_as_its_share_and_the_default_draws_nothing():
    def share(name: str, batch_size: int, wanted: float) -> float:
        rng = np.random.default_rng(5)
        return np.mean([OVERSAMPLINGS[name](n % batch_size, batch_size, wanted, rng) for n in range(20_000)])

    assert share("coin", 2, 0.1) == pytest.approx(0.1, abs=0.01)
    assert share("coin_as_last", 2, 0.33) == pytest.approx(0.5, abs=0.01)
    assert share("coin_as_last", 12, 0.33) == pytest.approx(4 / 12, abs=0.01)
    rng = np.random.default_rng(5)
    assert [OVERSAMPLINGS["last"](place, 12, 0.33, rng) for place in range(12)] == [False] * 8 + [True] * 4
    assert rng.random() == np.random.default_rng(5).random()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fastest", "list them with: recipes"),
        ("nnUNetTrainer_100epoch", "did you mean nnUNetTrainer_100epochs"),
        ("Warm-up", "did you mean warmup"),
        ("nnUNetTrainerAdan1en3", "adan-pytorch, which has not been kept since 2022"),
        ("nnUNet_PrimusV3L_Trainer", "transformer"),
        ("", "list them"),
        ("x" * 10_000, "list them"),
        ("nowhere.toml", "nowhere.toml"),
    ],
)
def test_an_unknown_recipe_is_a_sentence_that_helps(name, words):
    with pytest.raises(UserInputError) as refusal:
        find_recipe(name)
    assert words in str(refusal.value)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("option", ["epochs", "iterations"])
@pytest.mark.parametrize("value", [0, -1, True, 10**6 + 1, 1.5])
def test_a_length_that_cannot_be_is_refused(option, value):
    with pytest.raises(UserInputError, match=f"--{option} "):
        find_recipe("default", **{option: value})


def test_a_warm_up_as_long_as_the_training_is_refused():
    with pytest.raises(UserInputError, match="warms up for 50 of 50 epochs"):
        find_recipe("warmup", epochs=50)
    assert find_recipe("warmup", epochs=51).epochs == 51


def test_a_changed_recipe_keeps_its_folder_so_that_it_can_go_on():
    changed = find_recipe("100epochs", epochs=200, iterations=10, loss="dice_ce")
    assert (changed.folder_name, changed.validation_iterations) == ("nnUNetTrainer_100epochs", 2)


def test_fields_that_another_choice_makes_idle_are_known():
    assert set(idle_fields(RECIPES["adam"])) == {"momentum"}
    assert set(idle_fields(RECIPES["cosine"])) == {"polynomial_power"}
    assert idle_fields(RECIPES["default"]) == {}


def test_a_schedule_fits_a_training_of_any_length():
    assert all(math.isfinite(learning_rate_at(find_recipe("default", epochs=n), n - 1)) for n in (1, 2, 10**6))


def test_a_warm_up_keeps_its_share_where_a_time_budget_sets_the_length():
    fitted = timed_recipe(RECIPES["warmup"], steps=1000, iterations=25)
    assert (fitted.epochs, fitted.warmup_epochs) == (40, 2)
    assert learning_rate_at(fitted, 39.99) < 0.01 * fitted.learning_rate
    shortest = timed_recipe(RECIPES["warmup"], steps=3, iterations=10)
    assert (shortest.epochs, shortest.warmup_epochs) == (1, 0)
