"""Focal loss: cross-entropy that looks away from voxels which are right already (Lin 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .heads import Heads
from .over_ranks import OverRanks, mean_of
from .powers import power


class Focal(nn.Module):
    """The mean over voxels (and regions) of α (1 − p_t)^γ · CE, p_t the probability given to the truth.

    Each voxel is weighted by its own probability; γ = 0 and α = 1 is cross-entropy.
    """

    def __init__(
        self, heads: Heads, over_ranks: OverRanks | None = None, alpha: float = 0.8, gamma: float = 2.0
    ) -> None:
        super().__init__()
        self.heads, self.over_ranks, self.alpha, self.gamma = heads, over_ranks, alpha, gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); the target of those heads."""
        entropies, counted = self.heads.entropies(logits, target)
        # CE = −ln p_t, so 1 − p_t comes out of it exactly, however small it is.
        wrong = -torch.expm1(-entropies)
        values = self.alpha * power(wrong, self.gamma) * entropies
        return mean_of(values.sum(), values.numel() if counted is None else counted.sum(), self.over_ranks)
