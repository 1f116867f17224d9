"""The losses by the names that a recipe and the command line use: one row per loss.

Reading the table needs no torch; building a loss does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserInputError
from ..labels import LabelScheme

if TYPE_CHECKING:
    from torch import nn

    from .dice import Reduce


@dataclass(frozen=True)
class NamedLoss:
    """A loss, which labels it is for, and how it is made for a dataset."""

    name: str
    build: Callable[[LabelScheme, bool, Reduce | None], nn.Module]
    """Of the labels, whether Dice is one of the whole batch, and the sum over ranks."""
    for_labels: bool = True
    """Whether it takes labels that exclude each other: softmax heads, a target of label values."""
    for_regions: bool = True
    """Whether it takes regions, which may overlap: sigmoid heads, a target with one channel per region."""

    def fits(self, label_scheme: LabelScheme) -> bool:
        return self.for_regions if label_scheme.has_regions else self.for_labels


def _dice_ce(label_scheme: LabelScheme, batch_dice: bool, over_ranks: Reduce | None) -> nn.Module:
    from .compound import SumOfLosses
    from .cross_entropy import LabelCrossEntropy
    from .dice import LabelDice

    ignore = label_scheme.ignore_label
    return SumOfLosses(LabelCrossEntropy(ignore), LabelDice(ignore, batch_dice, over_ranks))


def _dice_bce(label_scheme: LabelScheme, batch_dice: bool, over_ranks: Reduce | None) -> nn.Module:
    from .compound import SumOfLosses
    from .cross_entropy import RegionCrossEntropy
    from .dice import RegionDice

    has_ignore = label_scheme.ignore_label is not None
    return SumOfLosses(RegionCrossEntropy(has_ignore), RegionDice(has_ignore, batch_dice, over_ranks))


LOSSES = {
    loss.name: loss
    for loss in (
        NamedLoss("dice_ce", _dice_ce, for_regions=False),
        NamedLoss("dice_bce", _dice_bce, for_labels=False),
    )
}
"""By name. The first that fits the labels is what nnU-Net takes for them."""


def find_loss(name: str | None, label_scheme: LabelScheme) -> NamedLoss:
    """The loss of that name; None is nnU-Net's choice: Dice + BCE for regions, Dice + CE for exclusive labels.

    Raises:
        UserInputError: there is no such loss, or it does not fit the labels.
    """
    if name is not None and name not in LOSSES:
        raise UserInputError(f"--loss {name}: there is no such loss; choose one of {', '.join(LOSSES)}.")
    fitting = [loss for loss in LOSSES.values() if loss.fits(label_scheme)]
    if name is None:
        return fitting[0]
    if LOSSES[name] not in fitting:
        kind = "overlap (regions)" if label_scheme.has_regions else "exclude each other (no regions)"
        names = " or ".join(loss.name for loss in fitting)
        raise UserInputError(f"--loss {name}: is not for labels that {kind}, as this dataset's do; use {names}.")
    return LOSSES[name]


def build_loss(
    name: str | None, label_scheme: LabelScheme, batch_dice: bool, over_ranks: Reduce | None = None
) -> nn.Module:
    """The loss of that name for these labels, of logits and target; see `find_loss` for the names.

    Args:
        batch_dice: Dice of the whole batch instead of a mean of the samples' (nnU-Net's 2d does so).
        over_ranks: differentiable sum over the processes of a distributed run.
    """
    return find_loss(name, label_scheme).build(label_scheme, batch_dice, over_ranks)
