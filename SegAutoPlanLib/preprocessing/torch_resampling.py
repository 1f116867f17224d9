"""The linear resampling of nnU-Net's `torchres` plans: a family of its own, not to be mixed with the cubic one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def resample_linear(
    array: np.ndarray,
    new_shape: Sequence[int],
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    is_seg: bool = False,
    **options: Any,
) -> np.ndarray:
    from .resampling import resample

    return resample(array, new_shape, current_spacing, new_spacing, is_seg=is_seg, order=1)
