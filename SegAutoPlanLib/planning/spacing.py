"""At which voxel size to work, and in which order the axes are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..fingerprint.fingerprint import Fingerprint


ANISOTROPY = 3
"""From this ratio on, of spacings and of sizes, an axis counts as a stack of slices."""


@dataclass(frozen=True)
class Grid:
    """The grid to which every case is resampled at full resolution; axes already in transposed order."""

    spacing: np.ndarray
    """(3,) in mm."""
    median_shape: np.ndarray
    """(3,) voxels of a median case on that spacing; may end in .5."""
    transpose_forward: tuple[int, ...]

    @property
    def transpose_backward(self) -> tuple[int, ...]:
        return tuple(self.transpose_forward.index(axis) for axis in range(3))


def full_resolution_grid(
    fingerprint: Fingerprint, spacing: tuple[float, ...] | None = None, first_axis: int | None = None
) -> Grid:
    """This dataset's grid; `spacing` (z, y, x) overrides the target, `first_axis` the axis that leads."""
    target = np.array(spacing, dtype=float) if spacing is not None else target_spacing(fingerprint)
    lead = int(np.argmax(target)) if first_axis is None else first_axis
    forward = (lead, *(axis for axis in range(3) if axis != lead))
    shapes = [
        [round(o / t * n) for o, t, n in zip(old, target.tolist(), shape, strict=True)]
        for old, shape in zip(fingerprint.spacings, fingerprint.shapes_after_crop, strict=True)
    ]
    return Grid(target[list(forward)], np.median(shapes, axis=0)[list(forward)], forward)


def target_spacing(fingerprint: Fingerprint) -> np.ndarray:
    """The voxel size (z, y, x) in mm: the median of each axis.

    Of a stack of thick slices (one axis three times coarser than the others and with less than a third of
    their voxels) that axis takes the 10th percentile: at the median, thin-sliced cases would lose most of
    their few slices.
    """
    spacings = np.array(fingerprint.spacings)
    target = np.percentile(spacings, 50, axis=0)
    size = np.percentile(np.array(fingerprint.shapes_after_crop), 50, axis=0)
    coarse = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != coarse]
    finest_allowed = target[others].max()
    is_stack = target[coarse] > ANISOTROPY * finest_allowed and size[coarse] * ANISOTROPY < size[others].min()
    if is_stack:
        thin = np.percentile(spacings[:, coarse], 10)
        # The axis stays the coarsest: another order of the axes would belong to another plan.
        target[coarse] = thin if thin >= finest_allowed else finest_allowed + 1e-5
    return target
