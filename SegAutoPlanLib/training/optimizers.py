"""Optimisers by the names that a recipe uses: one row per optimiser.

Reading the table needs no torch; making an optimiser does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .recipe import Recipe

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def sgd(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    """Stochastic gradient descent with Nesterov's momentum, nnU-Net's."""
    from torch.optim import SGD

    return SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )


def adam(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    """Adam with torch's moments (0.9 and 0.999); the weight decay is a part of the gradient."""
    from torch.optim import Adam

    return Adam(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def adamw(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    """Adam whose weight decay stays out of the moments."""
    from torch.optim import AdamW

    return AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def adamw_amsgrad(parameters: Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    """AdamW that divides by the largest second moment so far: what nnU-Net calls Adam."""
    from torch.optim import AdamW

    return AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, amsgrad=True)


OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter], Recipe], Optimizer]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "adamw_amsgrad": adamw_amsgrad,
}
"""A network's parameters and the recipe → its optimiser."""
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "adamw_amsgrad": 3}
"""How many numbers each optimiser remembers per weight."""
