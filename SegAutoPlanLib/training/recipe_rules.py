"""What each field of a recipe may be: one rule per field, for options and for files of users alike. No torch needed."""

from __future__ import annotations

from ..losses import LOSSES
from ..models import TRAINERS
from ..schema import Rule, either, flag, nothing, number, one_of, whole
from .augmentation_presets import AUGMENTATIONS
from .freezing import FROZEN
from .mirroring import MIRRORINGS
from .optimizers import OPTIMIZERS
from .recipe import BENCHMARKS, Recipe
from .sampling import OVERSAMPLINGS
from .schedules import SCHEDULES

LENGTH = whole(1, 10**6)
"""Of epochs, or of steps per epoch."""

RULES: dict[str, Rule] = {
    "epochs": LENGTH,
    "iterations_per_epoch": LENGTH,
    "validation_iterations": LENGTH,
    "batch_size": either(nothing, whole(1, 4096)),
    "optimizer": one_of(*OPTIMIZERS),
    "learning_rate": number(above=0, highest=100),
    "momentum": number(0, 0.99999),
    "weight_decay": number(0, 1),
    "gradient_clip": number(above=0, highest=1e9),
    "schedule": one_of(*SCHEDULES),
    "polynomial_power": number(above=0, highest=100),
    "warmup_epochs": whole(0, 10**6),
    "loss": either(nothing, one_of(*LOSSES)),
    "deep_supervision": flag,
    "normalization": one_of(*TRAINERS),
    "augmentation": one_of(*AUGMENTATIONS),
    "mirroring": one_of(*MIRRORINGS),
    "oversampling": one_of(*OVERSAMPLINGS),
    "oversample_foreground": number(0, 1),
    "benchmark": one_of(*BENCHMARKS),
    "checkpoint_every": LENGTH,
    "freeze": one_of(*FROZEN),
}
"""Every field but the names, which follow from the others."""

BELONGS_TO = {"momentum": ("optimizer", ("sgd",)), "polynomial_power": ("schedule", ("poly",))}
"""Fields that mean something only where another has one of these values."""


def idle_fields(recipe: Recipe) -> dict[str, str]:
    """The fields that have no meaning in a recipe, and the choice that makes them so: `optimizer = "adam"`."""
    return {
        name: f'{other} = "{getattr(recipe, other)}"'
        for name, (other, values) in BELONGS_TO.items()
        if getattr(recipe, other) not in values
    }


def conflict_in(recipe: Recipe) -> str | None:
    """What two fields of a recipe say against each other, as the end of a sentence; None if nothing."""
    if recipe.warmup_epochs >= recipe.epochs:
        return (
            f"warms up for {recipe.warmup_epochs:,} of {recipe.epochs:,} epochs; give more epochs, or a shorter warm-up"
        )
    return None
