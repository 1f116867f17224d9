"""Optimisers by the names that a recipe uses: one row per optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import SGD, Optimizer

from .recipe import Recipe


def sgd(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    """Stochastic gradient descent with Nesterov's momentum, nnU-Net's."""
    return SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )


OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter], Recipe], Optimizer]] = {"sgd": sgd}
"""A network's parameters and the recipe → its optimiser."""
