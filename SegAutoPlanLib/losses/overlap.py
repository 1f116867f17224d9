"""How much prediction and reference overlap: the sums of which Dice, IoU and Tversky are ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .heads import Heads
from .over_ranks import OverRanks, mean_of


@dataclass(frozen=True)
class Overlap:
    """Sums over the voxels that count, (samples, channels), or (channels,) of a whole batch."""

    intersection: Tensor
    """Σ p g."""
    predicted: Tensor
    """Σ p."""
    reference: Tensor
    """Σ g."""


Measure = Callable[[Overlap], Tensor]
"""A loss of each entry of an Overlap."""


def overlap_of(
    probabilities: Tensor,
    one_hot: Tensor,
    counted: Tensor | None,
    whole_batch: bool,
    over_ranks: OverRanks | None = None,
) -> Overlap:
    """The sums of each channel.

    Args:
        probabilities: (b, c, *space) in float32 at least, the channels that count (background already dropped).
        one_hot: (b, c, *space) of bool.
        counted: (b, 1, *space), where a voxel counts; None means everywhere.
        whole_batch: sum over the batch, and the processes that share it, too.
    """
    space = tuple(range(2, probabilities.ndim))
    target = one_hot.to(probabilities.dtype)
    if counted is not None:
        mask = counted.to(probabilities.dtype)
        target = target * mask
        predicted = (probabilities * mask).sum(space)
    else:
        predicted = probabilities.sum(space)
    intersection = (probabilities * target).sum(space)
    reference = target.sum(space)
    if whole_batch:
        sums = torch.stack((intersection.sum(0), predicted.sum(0), reference.sum(0)))
        if over_ranks is not None:
            sums = over_ranks.sum(sums)
        intersection, predicted, reference = sums
    return Overlap(intersection, predicted, reference)


def mean_of_overlaps(values: Tensor, whole_batch: bool, over_ranks: OverRanks | None) -> Tensor:
    """The mean of what a measure gave, over the channels and over the samples of all processes."""
    if whole_batch or over_ranks is None:
        return values.mean()
    return mean_of(values.sum(), values.numel(), over_ranks)


class OverlapLoss(nn.Module):
    """The mean of a measure over the foreground channels: of the whole batch's sums, or over the samples too.

    Args:
        whole_batch: sum over the batch before the ratio is taken (nnU-Net does so for 2d), else one ratio per sample.
    """

    def __init__(self, heads: Heads, measure: Measure, whole_batch: bool, over_ranks: OverRanks | None = None) -> None:
        super().__init__()
        self.heads, self.measure, self.whole_batch, self.over_ranks = heads, measure, whole_batch, over_ranks

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); the target of those heads."""
        overlap = foreground_overlap(self.heads, logits, target, self.whole_batch, self.over_ranks)
        return mean_of_overlaps(self.measure(overlap), self.whole_batch, self.over_ranks)


def foreground_overlap(
    heads: Heads, logits: Tensor, target: Tensor, whole_batch: bool, over_ranks: OverRanks | None
) -> Overlap:
    """The sums of the foreground channels."""
    reference = heads.reference(logits, target)
    return overlap_of(
        heads.foreground(heads.probabilities(logits)),
        heads.foreground(reference.one_hot),
        reference.counted,
        whole_batch,
        over_ranks,
    )
