"""How a grid is resized: how many voxels it gets, which axis is treated on its own, and where each voxel lands.

The old and the new grid share their outer corners. Whatever is brought from one to the other (images, label maps, the
network's logits) goes by these functions, so that the way back is the way there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ANISOTROPY_THRESHOLD = 3


def target_shape(shape: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float]) -> tuple[int, ...]:
    """The number of voxels of each axis at the new spacing, rounded half to even."""
    return tuple(round(old / new * size) for size, old, new in zip(shape, spacing, new_spacing, strict=True))


def spacing_to_reach(spacing: Sequence[float], planned: Sequence[float]) -> tuple[float, ...]:
    """The spacing (mm) of all axes at a configuration's, which for 2d leaves the distance between slices as it is."""
    return (*spacing[: len(spacing) - len(planned)], *planned)


def separate_axis(
    current_spacing: Sequence[float], new_spacing: Sequence[float], force: bool | None = None
) -> int | None:
    """Which axis is so much coarser than the others that it is resampled on its own (nnU-Net's separate z).

    The coarsest axis if the current spacing is anisotropic (largest over smallest above 3), else that of the new
    spacing; None if neither is, or if two axes are equally coarse. `force` replaces the test.
    """
    if force is False:
        return None
    for spacing in (current_spacing, new_spacing):
        if force or max(spacing) / min(spacing) > ANISOTROPY_THRESHOLD:
            coarsest = np.flatnonzero(np.asarray(spacing) == max(spacing))
            return int(coarsest[0]) if len(coarsest) == 1 else None
    return None


def resized_positions(size: int, new_size: int) -> np.ndarray:
    """(new_size,) float64: where each voxel of the resized axis lies on the old one, in voxels from its first.

    (i + 0.5) * old / new - 0.5, rounded in the order in which nnU-Net and scipy do it: the ratio first. The outermost
    may lie beyond the ends, by less than half a voxel.
    """
    return (np.arange(new_size) + 0.5) * (size / new_size) - 0.5


def nearest_indices(size: int, new_size: int) -> np.ndarray:
    """For each voxel of the resized axis the nearest old one.

    Where two are equally near it is the one that nnU-Net takes: the upper, unless the rounding of the position has
    it a hair below the middle.
    """
    return np.clip(np.floor(resized_positions(size, new_size) + 0.5).astype(np.intp), 0, size - 1)


@dataclass(frozen=True)
class Neighbours:
    """Voxel i of the resized axis is (1 - weight[i]) * old[lower[i]] + weight[i] * old[upper[i]]."""

    lower: np.ndarray
    upper: np.ndarray
    """The same as `lower` where the weight is 0, and beyond the ends, where the edge value continues."""
    weight: np.ndarray
    """float64, of the upper."""

    def part(self, start: int, stop: int) -> Neighbours:
        """Those of some voxels of the resized axis."""
        return Neighbours(self.lower[start:stop], self.upper[start:stop], self.weight[start:stop])

    def shifted(self, offset: int) -> Neighbours:
        """The same on an old axis whose first `offset` voxels were cut off."""
        return Neighbours(self.lower - offset, self.upper - offset, self.weight)


def nearest_neighbours(size: int, new_size: int) -> Neighbours:
    """The nearest old voxel alone."""
    nearest = nearest_indices(size, new_size)
    return Neighbours(nearest, nearest, np.zeros(new_size))


def linear_neighbours(size: int, new_size: int) -> Neighbours:
    """Between which two old voxels each voxel of the resized axis lies, and how near to the upper one."""
    positions = resized_positions(size, new_size)
    floor = np.floor(positions)
    weight = positions - floor
    lower = np.clip(floor.astype(np.intp), 0, size - 1)
    upper = np.clip(floor.astype(np.intp) + 1, 0, size - 1)
    return Neighbours(lower, np.where(weight == 0, lower, upper), weight)
