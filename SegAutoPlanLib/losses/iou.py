"""Soft intersection over union, the Jaccard index (Rahman & Wang 2016)."""

from __future__ import annotations

from torch import Tensor

from .overlap import Overlap


def iou_loss(overlap: Overlap, smooth: float = 1.0) -> Tensor:
    """1 − (Σ p g + s) / (Σ p + Σ g − Σ p g + s)."""
    union = overlap.predicted + overlap.reference - overlap.intersection
    return 1 - (overlap.intersection + smooth) / (union + smooth)
