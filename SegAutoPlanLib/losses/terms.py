"""What the rows of the table build their losses of: each loss made for the labels and the processes of a training."""

from __future__ import annotations

from functools import partial

from torch import nn

from ..labels import LabelScheme
from .combo import Combo
from .compound import SumOfLosses
from .cross_entropy import LabelCrossEntropy, RegionCrossEntropy
from .dice import dice_loss, minus_dice
from .focal import Focal
from .heads import Heads, LabelHeads, RegionHeads
from .iou import iou_loss
from .lovasz import Lovasz, hinge_errors, probability_errors
from .over_ranks import OverRanks
from .overlap import Measure, OverlapLoss
from .topk import TopKCrossEntropy
from .tversky import focal_tversky_loss, tversky_loss


class Terms:
    """The losses for one dataset. What they are not told is the default of the literature, or nnU-Net's.

    Args:
        whole_batch: ratios of the whole batch's sums instead of a mean of the samples' (the plan's `batch_dice`).
        over_ranks: how the processes of a distributed training sum and gather; None for one process.
    """

    def __init__(self, label_scheme: LabelScheme, whole_batch: bool, over_ranks: OverRanks | None) -> None:
        self._scheme, self._whole_batch, self._over_ranks = label_scheme, whole_batch, over_ranks
        ignore = label_scheme.ignore_label
        self._heads: Heads = RegionHeads(ignore is not None) if label_scheme.has_regions else LabelHeads(ignore)

    def sum_of(self, *terms: nn.Module) -> nn.Module:
        return SumOfLosses(*terms)

    def cross_entropy(self) -> nn.Module:
        """Binary for regions."""
        ignore = self._scheme.ignore_label
        if self._scheme.has_regions:
            return RegionCrossEntropy(ignore is not None, self._over_ranks)
        return LabelCrossEntropy(ignore, self._over_ranks)

    def top_k(self, label_smoothing: float = 0.0) -> nn.Module:
        return TopKCrossEntropy(self._heads, self._over_ranks, label_smoothing=label_smoothing)

    def focal(self) -> nn.Module:
        return Focal(self._heads, self._over_ranks)

    def dice(self) -> nn.Module:
        return self._overlap(dice_loss)

    def nnunet_dice(self, **smooth: float) -> nn.Module:
        return self._overlap(partial(minus_dice, **smooth))

    def iou(self) -> nn.Module:
        return self._overlap(iou_loss)

    def tversky(self, **weights: float) -> nn.Module:
        return self._overlap(partial(tversky_loss, **weights))

    def focal_tversky(self, **weights: float) -> nn.Module:
        return self._overlap(partial(focal_tversky_loss, **weights))

    def lovasz_softmax(self) -> nn.Module:
        # Labels have their background to answer for a class that is not there; a region has only itself.
        only_present = not self._scheme.has_regions
        return Lovasz(self._heads, probability_errors, self._whole_batch, only_present, self._over_ranks)

    def lovasz_hinge(self) -> nn.Module:
        return Lovasz(self._heads, hinge_errors, self._whole_batch, False, self._over_ranks)

    def combo(self) -> nn.Module:
        return Combo(self._heads, self._whole_batch, self._over_ranks)

    def _overlap(self, measure: Measure) -> nn.Module:
        return OverlapLoss(self._heads, measure, self._whole_batch, self._over_ranks)
