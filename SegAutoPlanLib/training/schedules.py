"""Learning rates by the names that a recipe uses: one row per schedule. No torch needed."""

from __future__ import annotations

import math
from collections.abc import Callable

from .recipe import Recipe


def polynomial(recipe: Recipe, share: float) -> float:
    """Polynomial decay, nnU-Net's: lr · (1 - share)^power."""
    return recipe.learning_rate * (1 - share) ** recipe.polynomial_power


def cosine(recipe: Recipe, share: float) -> float:
    """Half a cosine from the learning rate down to 0: lr · (1 + cos(π · share)) / 2."""
    return recipe.learning_rate * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Callable[[Recipe, float], float]] = {"poly": polynomial, "cosine": cosine}
"""Recipe and the share of the training that is done (0 to 1, its warm-up not counted) → the learning rate."""


def learning_rate_at(recipe: Recipe, done: float) -> float:
    """The learning rate after so many epochs.

    nnU-Net's learning rate is constant within an epoch: it is the one after the whole epochs before. Warm-up, its too:
    lr · (1 + done) / warm-up epochs until it has the full rate, which the schedule then starts from.

    Args:
        done: finished epochs; a fraction is a place within one.
    """
    warm_up = recipe.warmup_epochs
    if done < warm_up:
        return recipe.learning_rate * min(1.0, (1 + done) / warm_up)
    return SCHEDULES[recipe.schedule](recipe, (done - warm_up) / (recipe.epochs - warm_up))
