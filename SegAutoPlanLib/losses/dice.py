"""Soft Dice (Milletari 2016)."""

from __future__ import annotations

from torch import Tensor

from .overlap import Overlap

NNUNET_SMOOTH = 1e-5
SMALLEST_DENOMINATOR = 1e-8
"""nnU-Net's; it matters without smoothing, where a class is neither there nor predicted."""


def dice_loss(overlap: Overlap, smooth: float = 1.0) -> Tensor:
    """1 − (2 Σ p g + s) / (Σ p + Σ g + s), in [0, 1]."""
    return 1 - _dice(overlap, smooth)


def minus_dice(overlap: Overlap, smooth: float = NNUNET_SMOOTH) -> Tensor:
    """−(2 Σ p g + s) / (Σ p + Σ g + s), in [−1, 0]: nnU-Net's, which its sums with cross-entropy use."""
    return -_dice(overlap, smooth)


def _dice(overlap: Overlap, smooth: float) -> Tensor:
    total = overlap.predicted + overlap.reference + smooth
    return (2 * overlap.intersection + smooth) / total.clamp_min(SMALLEST_DENOMINATOR)
