"""The losses by the names that a recipe and the command line use."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ..errors import UserInputError
from ..labels import LabelScheme
from .compound import DiceBinaryCrossEntropy, DiceCrossEntropy
from .dice import Reduce

Build = Callable[[LabelScheme, bool, "Reduce | None"], nn.Module]


def _dice_ce(label_scheme: LabelScheme, batch_dice: bool, over_ranks: Reduce | None) -> nn.Module:
    if label_scheme.has_regions:
        raise UserInputError("--loss dice_ce: labels that overlap (regions) have no softmax; use dice_bce.")
    return DiceCrossEntropy(label_scheme.ignore_label, batch_dice, over_ranks)


def _dice_bce(label_scheme: LabelScheme, batch_dice: bool, over_ranks: Reduce | None) -> nn.Module:
    if not label_scheme.has_regions:
        raise UserInputError("--loss dice_bce: is for labels that overlap (regions); use dice_ce.")
    return DiceBinaryCrossEntropy(label_scheme.ignore_label is not None, batch_dice, over_ranks)


LOSSES: dict[str, Build] = {"dice_ce": _dice_ce, "dice_bce": _dice_bce}


def build_loss(
    name: str | None, label_scheme: LabelScheme, batch_dice: bool, over_ranks: Reduce | None = None
) -> nn.Module:
    """The loss of that name; None is nnU-Net's choice: Dice + BCE for regions, Dice + CE for exclusive labels.

    Raises:
        UserInputError: there is no such loss, or it does not fit the labels.
    """
    if name is None:
        name = "dice_bce" if label_scheme.has_regions else "dice_ce"
    if name not in LOSSES:
        raise UserInputError(f"--loss {name}: there is no such loss; choose one of {', '.join(LOSSES)}.")
    return LOSSES[name](label_scheme, batch_dice, over_ranks)
