"""Which axis is so much coarser than the others that it is resampled on its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ANISOTROPY_THRESHOLD = 3


def separate_axis(
    current_spacing: Sequence[float], new_spacing: Sequence[float], force: bool | None = None
) -> int | None:
    """The coarsest axis if the current spacing is anisotropic (largest over smallest above 3), else that of the new
    spacing; None if neither is, or if two axes are equally coarse. `force` replaces the test."""
    if force is False:
        return None
    for spacing in (current_spacing, new_spacing):
        if force or max(spacing) / min(spacing) > ANISOTROPY_THRESHOLD:
            coarsest = np.flatnonzero(np.asarray(spacing) == max(spacing))
            return int(coarsest[0]) if len(coarsest) == 1 else None
    return None
