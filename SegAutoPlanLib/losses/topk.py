"""Cross-entropy of the worst voxels alone, as in nnU-Net's TopK trainers (Wu 2016 for the idea)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .heads import Heads
from .over_ranks import OverRanks


class TopKCrossEntropy(nn.Module):
    """The mean cross-entropy of the worst `percent` of the batch's voxels (and regions) that count.

    The share is one of the whole batch, over all processes; at least one voxel is taken. nnU-Net's share is of the
    ignored voxels too, which lets them crowd out the others.

    Args:
        label_smoothing: share of the truth that is spread evenly over all classes.
    """

    def __init__(
        self,
        heads: Heads,
        over_ranks: OverRanks | None = None,
        percent: float = 10.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads, self.over_ranks = heads, over_ranks
        self.percent, self.label_smoothing = percent, label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); the target of those heads."""
        values, counted = self.heads.entropies(logits, target, self.label_smoothing)
        count = self._count_of_all(values, counted)
        if count == 0:
            return values.sum() * 0
        wanted = max(1, int(count * self.percent / 100))
        if counted is not None:
            values = values.masked_fill(~counted, -1)
        worst = _largest(values.flatten(), wanted)
        if self.over_ranks is not None:
            # What is among the worst of all is among as many worst of its own process.
            worst = _largest(self.over_ranks.gather(worst), wanted)
        return worst.mean()

    def _count_of_all(self, values: Tensor, counted: Tensor | None) -> int:
        if counted is None and self.over_ranks is None:
            return values.numel()
        count = torch.tensor(values.numel(), device=values.device) if counted is None else counted.sum()
        return int(count if self.over_ranks is None else self.over_ranks.sum(count))


def _largest(values: Tensor, count: int) -> Tensor:
    return values.topk(min(count, len(values)), sorted=False).values
