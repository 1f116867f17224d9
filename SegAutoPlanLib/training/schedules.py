"""Learning rates by the names that a recipe uses: one row per schedule. No torch needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .recipe import Recipe


def polynomial(recipe: Recipe, epoch: int) -> float:
    """Polynomial decay, nnU-Net's: lr · (1 - epoch/epochs)^power."""
    return recipe.learning_rate * (1 - epoch / recipe.epochs) ** recipe.polynomial_power


SCHEDULES: dict[str, Callable[[Recipe, int], float]] = {"poly": polynomial}
"""Recipe and epoch (from 0) → the learning rate of that whole epoch."""
