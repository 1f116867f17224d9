"""Combo: weighted cross-entropy less Dice (Taghanaki 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .dice import minus_dice
from .heads import Heads
from .over_ranks import OverRanks, mean_of
from .overlap import mean_of_overlaps, overlap_of

SMALLEST_PROBABILITY = 1e-7
"""ε: float32 cannot tell 1 − 1e-9 from 1, whose logarithm the other side would need."""


class Combo(nn.Module):
    """α · [ −1/N Σ ( β g ln p + (1 − β) (1 − g) ln (1 − p) ) ] − (1 − α) · Dice, over the foreground channels.

    N counts voxels and channels; p is kept within [ε, 1 − ε] for the logarithms.

    Args:
        alpha: share of the cross-entropy; the rest is Dice.
        beta: what a foreground voxel weighs against the others; above 1/2, missing one is worse.
        smooth: of the Dice.
    """

    def __init__(
        self,
        heads: Heads,
        whole_batch: bool,
        over_ranks: OverRanks | None = None,
        alpha: float = 0.5,
        beta: float = 0.5,
        smooth: float = 1.0,
    ) -> None:
        super().__init__()
        self.heads, self.whole_batch, self.over_ranks = heads, whole_batch, over_ranks
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); the target of those heads."""
        reference, probabilities = self.heads.reference(logits, target), self.heads.probabilities(logits)
        foreground, one_hot = map(self.heads.foreground, (probabilities, reference.one_hot))
        others = self.heads.foreground(self.heads.complements(logits, probabilities))
        overlap = overlap_of(foreground, one_hot, reference.counted, self.whole_batch, self.over_ranks)
        dice = mean_of_overlaps(minus_dice(overlap, self.smooth), self.whole_batch, self.over_ranks)
        given = torch.where(one_hot, foreground, others).clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        values = given.log() * torch.where(one_hot, -self.beta, self.beta - 1)
        count: Tensor | int = values.numel()
        if reference.counted is not None:
            values, count = values * reference.counted, reference.counted.sum() * values.shape[1]
        return self.alpha * mean_of(values.sum(), count, self.over_ranks) + (1 - self.alpha) * dice
