"""Learning rates by the names that a recipe uses: one row per schedule. No torch needed."""

from __future__ import annotations

from collections.abc import Callable

from .recipe import Recipe


def polynomial(recipe: Recipe, epoch: int) -> float:
    """Polynomial decay, nnU-Net's: lr · (1 - epoch/epochs)^power."""
    return recipe.learning_rate * (1 - epoch / recipe.epochs) ** recipe.polynomial_power


SCHEDULES: dict[str, Callable[[Recipe, int], float]] = {"poly": polynomial}
"""Recipe and epoch (from 0) → the learning rate of that whole epoch."""


def learning_rate_at(recipe: Recipe, epoch: int) -> float:
    """The learning rate of an epoch (from 0), constant within it."""
    return SCHEDULES[recipe.schedule](recipe, epoch)
