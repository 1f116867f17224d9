"""The table of recipes: nnU-Net's trainer variants and our own. No torch needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .recipe import Recipe


@dataclass(frozen=True)
class NamedRecipe:
    """A row: a recipe, and in one line when to take it."""

    recipe: Recipe
    advice: str


def _row(name: str, trainer_name: str, advice: str, **changed: Any) -> NamedRecipe:
    return NamedRecipe(Recipe(name=name, trainer_name=trainer_name, **changed), advice)


NO_MIRRORING = {"mirroring": "none"}
IN_PLANE = {"mirroring": "all_but_last"}


def _lengths() -> Iterator[NamedRecipe]:
    advice = {
        1: "does everything run?",
        5: "does everything run, and does the loss fall?",
        10: "a first look on a GPU",
        20: "a first look on a GPU",
        50: "for comparing ideas on small data",
        100: "a tenth of nnU-Net's length: for comparing ideas",
        250: "a quarter of nnU-Net's length: the usual choice for experiments",
        500: "half of nnU-Net's length",
        750: "three quarters of nnU-Net's length",
        2000: "for large datasets",
        4000: "for large datasets and patience",
        8000: "for very large datasets and much patience",
    }
    for epochs, when in advice.items():
        plural = "epochs" if epochs > 1 else "epoch"
        yield _row(f"{epochs}{plural}", f"nnUNetTrainer_{epochs}{plural}", when, epochs=epochs)
    for epochs in (250, 2000, 4000, 8000):
        name = f"{epochs}epochs"
        trainer = f"nnUNetTrainer_{name}_NoMirroring"
        yield _row(f"{name}_nomirroring", trainer, f"{name} where left and right differ", epochs=epochs, **NO_MIRRORING)


def _augmentations() -> Iterator[NamedRecipe]:
    yield _row(
        "nomirroring", "nnUNetTrainerNoMirroring", "where left and right are labels of their own", **NO_MIRRORING
    )
    yield _row(
        "onlymirror01", "nnUNetTrainer_onlyMirror01", "the same, if the last axis runs left to right", **IN_PLANE
    )
    yield _row(
        "onlymirror01_1500epochs",
        "nnUNetTrainer_onlyMirror01_1500ep",
        "onlymirror01, half as long again",
        epochs=1500,
        **IN_PLANE,
    )
    yield _row(
        "noaugmentation",
        "nnUNetTrainerNoDA",
        "to see what augmentation is worth; overfits",
        augmentation="none",
        **NO_MIRRORING,
    )
    for name, trainer, preset, advice in (
        ("da5", "DA5", "da5", "few cases, or images from other scanners than those trained on; slower"),
        ("da5_order0", "DA5ord0", "da5_order0", "da5 without interpolation: cheaper, coarser"),
        ("da5_order0labels", "DA5Segord0", "da5_order0_labels", "da5 where there are many labels: cheaper"),
        ("order0labels", "_DASegOrd0", "order0_labels", "many labels: turning them by nearest neighbour is cheaper"),
        ("nodummy2d", "_noDummy2DDA", "no_dummy_2d", "thick slices that shall be turned in 3-D all the same"),
    ):
        yield _row(name, f"nnUNetTrainer{trainer}", advice, augmentation=preset)
    yield _row("da5_10epochs", "nnUNetTrainerDA5_10epochs", "does da5 run?", epochs=10, augmentation="da5")
    yield _row(
        "order0labels_nomirroring",
        "nnUNetTrainer_DASegOrd0_NoMirroring",
        "order0labels where left and right differ",
        augmentation="order0_labels",
        **NO_MIRRORING,
    )
    for name, trainer, preset in (
        ("order0labels", "DASegOrd0", "order0_labels"),
        ("da5", "DA5", "da5"),
    ):
        yield _row(
            f"onlymirror01_{name}",
            f"nnUNetTrainer_onlyMirror01_{trainer}",
            f"{name} where left and right differ along the last axis",
            augmentation=preset,
            **IN_PLANE,
        )


def _losses() -> Iterator[NamedRecipe]:
    for name, trainer, loss, advice in (
        ("ce", "CELoss", "ce", "large structures whose probabilities shall be honest"),
        ("dice", "DiceLoss", "soft_dice", "small structures; less stable than with cross-entropy"),
        (
            "dice_ce_nosmoothing",
            "DiceCELoss_noSmooth",
            "dice_ce_no_smooth",
            "small structures that many patches lack",
        ),
        ("topk", "Topk10Loss", "topk_ce", "only the hardest tenth of the voxels counts; sensitive to wrong labels"),
        ("topk_smoothed", "Topk10LossLS01", "topk_ce_ls01", "topk with labels that are not quite certain"),
        ("dice_topk", "DiceTopK10Loss", "dice_topk", "Dice, and the hardest tenth of the voxels"),
    ):
        yield _row(name, f"nnUNetTrainer{trainer}", advice, loss=loss)
    yield _row("ce_5epochs", "nnUNetTrainerCELoss_5epochs", "does ce run?", epochs=5, loss="ce")


def _optimizers() -> Iterator[NamedRecipe]:
    for optimizer, trainer, words in (
        ("adamw_amsgrad", "Adam", "AdamW with amsgrad"),
        ("adam", "VanillaAdam", "Adam"),
    ):
        for rate, ending, advice in (
            (1e-2, "", "; 0.01 is high for it"),
            (1e-3, "1en3", ", its usual rate"),
            (3e-4, "3en4", ", careful"),
        ):
            name = f"{optimizer}_{rate:g}" if ending else optimizer
            changed = {"optimizer": optimizer, "learning_rate": rate}
            yield _row(name, f"nnUNetTrainer{trainer}{ending}", f"{words}{advice}", **changed)
    yield _row(
        "cosine",
        "nnUNetTrainerCosAnneal",
        "its rate stays higher than the default's at first and is lower at the end",
        schedule="cosine",
    )
    yield _row("warmup", "nnUNetTrainer_warmup", "where the first epochs diverge", warmup_epochs=50)


def _others() -> Iterator[NamedRecipe]:
    yield _row(
        "nodeepsupervision",
        "nnUNetTrainerNoDeepSupervision",
        "structures that vanish at half resolution",
        deep_supervision=False,
    )
    yield _row(
        "batchnorm",
        "nnUNetTrainerBN",
        "large batches; in batches of two it is worse",
        normalization="batch",
    )
    yield _row("batch8", "nnUNet_Trainer_BS8", "where the GPU has room for eight patches", batch_size=8)
    for name, share, ending, advice in (
        ("coin_033", 0.33, "_033", "foreground in a third of the samples, by chance"),
        ("coin_010", 0.10, "_010", "foreground in a tenth of the samples, by chance"),
    ):
        trainer = f"nnUNetTrainer_probabilisticOversampling{ending}"
        yield _row(name, trainer, advice, oversampling="coin", oversample_foreground=share)
    yield _row(
        "coin",
        "nnUNetTrainer_probabilisticOversampling",
        "foreground as often as by default, but by chance",
        oversampling="coin_as_last",
    )
    for name, kind, ending, advice in (
        ("benchmark", "with_loading", "", "how fast is this computer?"),
        ("benchmark_noloading", "without_loading", "_noDataLoading", "how fast would it be if loading cost nothing?"),
    ):
        yield _row(name, f"nnUNetTrainerBenchmark_5epochs{ending}", advice, epochs=5, benchmark=kind)


def _own() -> Iterator[NamedRecipe]:
    # Momentum 0.99 needs more steps to gather speed than these have; with 0.9 the step size makes up for it.
    yield _row(
        "short",
        "nnUNetTrainer",
        "minutes on a CPU: enough to see a network learn, not to publish",
        epochs=10,
        iterations_per_epoch=25,
        validation_iterations=5,
        momentum=0.9,
        learning_rate=5e-2,
        checkpoint_every=1,
    )
    # Chosen by what networks reached in such times on cases that had no part in the choice (docs/benchmarks.md). Its
    # models stay apart: minutes must not replace what took days.
    yield _row(
        "timed",
        "nnUNetTrainerNoMirroring",
        "what --minutes takes by itself, up to two hours",
        epochs=10,
        iterations_per_epoch=100,
        validation_iterations=10,
        batch_size=1,
        # With one sample per step, nnU-Net's "the last third of a batch" would be none.
        oversampling="coin",
        oversample_foreground=0.5,
        momentum=0.9,
        learning_rate=5e-2,
        results_name="nnUNetTrainer_timed",
        **NO_MIRRORING,
    )
    yield _row(
        "elastic",
        "nnUNetTrainer",
        "soft organs and few cases; slower",
        augmentation="elastic",
        results_name="nnUNetTrainer_elastic",
    )
    # Large steps would forget what trained weights hold, and less is left to learn.
    yield _row(
        "finetune",
        "nnUNetTrainer_100epochs",
        "from trained weights (--pretrained)",
        epochs=100,
        learning_rate=1e-3,
        results_name="nnUNetTrainer_finetune",
    )


OF_NNUNET = (*_lengths(), *_augmentations(), *_losses(), *_optimizers(), *_others())
DEFAULT = _row("default", "nnUNetTrainer", "nnU-Net's own; days on a CPU, a day or less on a GPU")
NAMED_RECIPES = (DEFAULT, *_own(), *OF_NNUNET)
RECIPES: dict[str, Recipe] = {row.recipe.name: row.recipe for row in NAMED_RECIPES}
BY_TRAINER: dict[str, Recipe] = {row.recipe.trainer_name: row.recipe for row in (DEFAULT, *OF_NNUNET)}
"""By nnU-Net's name of the trainer."""

_ADAN = (
    "its optimiser Adan comes from the package adan-pytorch, which has not been kept since 2022; "
    "take adamw_amsgrad_0.001, or nnU-Net itself"
)
_PRIMUS = (
    "its network is a transformer, which is not built here; take a residual encoder (plan --planner), or nnU-Net itself"
)
_PRETRAINED = (
    "it reads pretrained encoders in a form of its own, which is not read here; give --pretrained, or use nnU-Net"
)
LEFT_OUT = {
    "nnUNetTrainerAdan": _ADAN,
    "nnUNet_Primus": _PRIMUS,
    "AbstractPrimus": _PRIMUS,
    "_Primus": _PRIMUS,
    "PretrainedTrainer": _PRETRAINED,
    "DynamicPretrainedTrainer": _PRETRAINED,
}
"""Beginnings of the names of nnU-Net's trainers that have no row, and why."""
