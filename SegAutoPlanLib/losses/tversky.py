"""The Tversky index: Dice with a price of its own for each kind of error (Salehi 2017), and its focal form."""

from __future__ import annotations

from torch import Tensor

from .overlap import Overlap
from .powers import power


def tversky_loss(
    overlap: Overlap, false_positives: float = 0.5, false_negatives: float = 0.5, smooth: float = 1.0
) -> Tensor:
    """1 − (TP + s) / (TP + α FP + β FN + s).

    Args:
        false_positives: α, what they cost. α = β = 1/2 is Dice (with twice the smoothing), α = β = 1 is IoU.
        false_negatives: β; above α, missing a voxel is worse than marking one too many.
    """
    true_positive = overlap.intersection
    errors = false_positives * (overlap.predicted - true_positive) + false_negatives * (
        overlap.reference - true_positive
    )
    return 1 - (true_positive + smooth) / (true_positive + errors + smooth)


def focal_tversky_loss(
    overlap: Overlap,
    false_positives: float = 0.5,
    false_negatives: float = 0.5,
    exponent: float = 1.0,
    smooth: float = 1.0,
) -> Tensor:
    """(1 − TI) ** exponent of the Tversky index TI (Abraham & Khan 2018).

    Args:
        exponent: the power itself. The paper writes it as 1/γ and takes γ = 4/3, which is an exponent of 3/4 here:
            below 1 the steepest part is where the class is nearly right, above 1 where it is badly wrong.
    """
    return power(tversky_loss(overlap, false_positives, false_negatives, smooth), exponent)
