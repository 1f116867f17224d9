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

    from .over_ranks import OverRanks
    from .terms import Terms


@dataclass(frozen=True)
class NamedLoss:
    """A loss, how it is made, when to take it, and which labels it is for."""

    name: str
    build: Callable[[Terms], nn.Module]
    """Of what losses can be built of for a dataset."""
    advice: str
    """One sentence: when to take it."""
    for_labels: bool = True
    """Whether it takes labels that exclude each other: softmax heads, a target of label values."""
    for_regions: bool = True
    """Whether it takes regions, which may overlap: sigmoid heads, a target with one channel per region."""

    def fits(self, label_scheme: LabelScheme) -> bool:
        return self.for_regions if label_scheme.has_regions else self.for_labels


LOSSES = {
    loss.name: loss
    for loss in (
        NamedLoss(
            "dice_ce",
            lambda terms: terms.sum_of(terms.cross_entropy(), terms.nnunet_dice()),
            "The default for labels, and nnU-Net's: take it unless you know better.",
            for_regions=False,
        ),
        NamedLoss(
            "dice_bce",
            lambda terms: terms.sum_of(terms.cross_entropy(), terms.nnunet_dice()),
            "The default for regions, and nnU-Net's: take it unless you know better.",
            for_labels=False,
        ),
        NamedLoss(
            "dice_ce_no_smooth",
            lambda terms: terms.sum_of(terms.cross_entropy(), terms.nnunet_dice(smooth=0.0)),
            "The default without smoothing (binary cross-entropy for regions); hardly different, nnU-Net's noSmooth.",
        ),
        NamedLoss(
            "dice",
            lambda terms: terms.dice(),
            "Overlap alone, smoothed by 1: for one or few large structures; probabilities become overconfident.",
        ),
        NamedLoss(
            "soft_dice",
            lambda terms: terms.nnunet_dice(),
            "Overlap alone with nnU-Net's smoothing of 1e-5: harder than dice on patches without the structure.",
        ),
        NamedLoss(
            "iou",
            lambda terms: terms.iou(),
            "As dice where IoU is what you are measured by; it punishes the worst overlaps more.",
        ),
        NamedLoss(
            "tversky",
            lambda terms: terms.tversky(),
            "Dice in another form, equal prices for both kinds of error; the start for weighting them yourself.",
        ),
        NamedLoss(
            "tversky_recall",
            lambda terms: terms.tversky(false_positives=0.3, false_negatives=0.7),
            "Small lesions that are missed too often: a missed voxel costs 0.7, one too many 0.3.",
        ),
        NamedLoss(
            "focal_tversky",
            lambda terms: terms.focal_tversky(),
            "tversky with an exponent, 1 by default and then equal to it; the start for choosing your own.",
        ),
        NamedLoss(
            "focal_tversky_recall",
            lambda terms: terms.focal_tversky(false_positives=0.3, false_negatives=0.7, exponent=0.75),
            "As tversky_recall, as its paper has it: keeps pushing on classes that are nearly right.",
        ),
        NamedLoss(
            "ce",
            lambda terms: terms.cross_entropy(),
            "Every voxel counts the same: calibrated probabilities, but small structures are lost easily.",
            for_regions=False,
        ),
        NamedLoss(
            "bce",
            lambda terms: terms.cross_entropy(),
            "Every voxel counts the same: calibrated probabilities, but small regions are lost easily.",
            for_labels=False,
        ),
        NamedLoss(
            "focal",
            lambda terms: terms.focal(),
            "Much easy background, few hard voxels: looks away from what is right already.",
        ),
        NamedLoss(
            "topk_ce",
            lambda terms: terms.top_k(),
            "Only the worst 10 % of the voxels teach: hard borders; not with wrong labels, which are the worst voxels.",
        ),
        NamedLoss(
            "topk_ce_ls01",
            lambda terms: terms.top_k(label_smoothing=0.1),
            "topk_ce with label smoothing of 0.1, which softens what wrong labels do to it.",
        ),
        NamedLoss(
            "dice_topk",
            lambda terms: terms.sum_of(terms.top_k(), terms.nnunet_dice()),
            "Dice with topk_ce: often a little better than the default at hard borders, if the labels are clean.",
        ),
        NamedLoss(
            "lovasz_softmax",
            lambda terms: terms.lovasz_softmax(),
            "IoU itself, from sorted errors: to finish a trained network (--pretrained) rather than to begin with.",
        ),
        NamedLoss(
            "lovasz_hinge",
            lambda terms: terms.lovasz_hinge(),
            "IoU with a margin, for a yes or no per voxel: its probabilities mean nothing; to finish a network.",
        ),
        NamedLoss(
            "combo",
            lambda terms: terms.combo(),
            "Dice and binary cross-entropy of the foreground in equal parts: unbalanced organs beside large ones.",
        ),
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
        *names, last = (loss.name for loss in fitting)
        raise UserInputError(
            f"--loss {name}: is not for labels that {kind}, as this dataset's do; use {', '.join(names)} or {last}."
        )
    return LOSSES[name]


def build_loss(
    name: str | None, label_scheme: LabelScheme, batch_dice: bool, over_ranks: OverRanks | None = None
) -> nn.Module:
    """The loss of that name for these labels, of logits and target; see `find_loss` for the names.

    Args:
        batch_dice: ratios and sorted lists of the whole batch instead of a mean of the samples' (nnU-Net's 2d).
        over_ranks: how the processes of a distributed training sum and gather; on each the loss is then that of the
            global batch.
    """
    loss = find_loss(name, label_scheme)
    from .terms import Terms

    return loss.build(Terms(label_scheme, batch_dice, over_ranks))
