"""When a patch sees too little of an image, a first network looks at the whole of it, coarsely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sizing import Budget, Sizing, size_configuration
from .spacing import Grid

ENOUGH_SEEN = 0.25
"""Part of a median image that a patch should hold."""
STEP = 1.03
WORTHWHILE = 2
"""How many times fewer voxels the coarse images must have."""


@dataclass(frozen=True)
class LowResolution:
    """The coarse stage; axes in transposed order."""

    spacing: tuple[float, ...]
    median_shape: tuple[int, ...]
    sizing: Sizing


def plan_low_resolution(budget: Budget, grid: Grid, full: Sizing, case_count: int) -> LowResolution | None:
    """Coarsen the voxels until a patch holds a quarter of a median image; None where that gains too little.

    Axes more than twice finer than the coarsest are coarsened first, so that voxels become isotropic. A careful
    budget also gives None where coarsening would leave an axis without a voxel.
    """
    full_voxels = np.prod(grid.median_shape)
    spacing, voxels, sizing = grid.spacing.copy(), full_voxels, full
    shape = grid.median_shape
    while np.prod(sizing.patch_size, dtype=float) / voxels < ENOUGH_SEEN:
        fine = spacing.max() / spacing > 2
        spacing[fine if fine.any() else slice(None)] *= STEP
        shape = grid.spacing / spacing * grid.median_shape
        if budget.careful and min(rounded(shape)) < 1:
            return None
        voxels = np.prod(shape)
        sizing = size_configuration(budget, spacing.tolist(), rounded(shape), float(voxels * case_count))
    if sizing is full or full_voxels / voxels < WORTHWHILE:
        return None
    return LowResolution(tuple(spacing.tolist()), rounded(shape), sizing)


def rounded(shape: np.ndarray) -> tuple[int, ...]:
    """Whole voxels, halves to even."""
    return tuple(round(edge) for edge in shape.tolist())
