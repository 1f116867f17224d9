"""Logits on the network's grid, brought to another one by linear interpolation, a few slices at a time.

Interpolating all classes of a slab of slices at once needs memory for a slab, where resampling whole class volumes
needs it for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..labels import LabelScheme
from ..planning.resampling import Resampler
from ..preprocessing.grid import Neighbours, linear_neighbours, nearest_neighbours, separate_axis

SLAB_BYTES = 128 * 2**20


def grid_interpolation(
    shape: Sequence[int],
    new_shape: Sequence[int],
    spacing: Sequence[float],
    new_spacing: Sequence[float],
    resampler: Resampler,
) -> list[Neighbours]:
    """Between which voxels of each axis the logits are interpolated, by the plan's resampler of probabilities.

    An axis is taken by nearest neighbour where `order` is 0; a much coarser one where `order_z` is (nnU-Net's separate
    z).
    """
    separate = separate_axis(spacing, new_spacing, resampler.force_separate_z)
    orders = [resampler.order_z if axis == separate else resampler.order for axis in range(len(shape))]
    return [
        (nearest_neighbours if orders[axis] == 0 else linear_neighbours)(old, new)
        for axis, (old, new) in enumerate(zip(shape, new_shape, strict=True))
    ]


def resampled_slabs(logits: Tensor, grid: Sequence[Neighbours]) -> Iterator[tuple[slice, Tensor]]:
    """Slabs (heads, slices, y, x) of the resampled logits, first axis ascending, with the slices they cover."""
    depth, height, width = (len(axis.lower) for axis in grid)
    per_slice = 4 * logits.shape[0] * max(height, logits.shape[2]) * max(width, logits.shape[3])
    thickness = max(1, SLAB_BYTES // (3 * per_slice))
    for start in range(0, depth, thickness):
        along = grid[0].part(start, min(start + thickness, depth))
        first, last = int(along.lower.min()), int(along.upper.max())
        slab = logits[:, first : last + 1].float()
        # The axis that shrinks most goes first, so that the others have less to do.
        steps = {1: along.shifted(first), 2: grid[1], 3: grid[2]}
        for axis in sorted(steps, key=lambda a: len(steps[a].lower) / slab.shape[a]):
            slab = _interpolate(slab, axis, steps[axis])
        yield slice(start, min(start + thickness, depth)), slab


def _interpolate(values: Tensor, axis: int, along: Neighbours) -> Tensor:
    if len(along.lower) == values.shape[axis] and not along.weight.any():
        return values
    device = values.device
    lower = values.index_select(axis, torch.from_numpy(along.lower).to(device))
    if not along.weight.any():
        return lower
    upper = values.index_select(axis, torch.from_numpy(along.upper).to(device))
    weight = torch.from_numpy(along.weight.astype(np.float32)).to(device)
    return torch.lerp(lower, upper, weight.view([-1 if a == axis else 1 for a in range(values.ndim)]))


def logits_to_segmentation(logits: Tensor, label_scheme: LabelScheme) -> Tensor:
    """(heads, …) → label values (…): the most probable label, or regions painted in `regions_class_order`."""
    if not label_scheme.has_regions:
        return logits.argmax(0)
    result = torch.zeros(logits.shape[1:], dtype=torch.int64, device=logits.device)
    for head, value in zip(logits, label_scheme.regions_class_order, strict=True):
        result[head > 0] = value
    return result


@dataclass(frozen=True)
class Box:
    """A part of the new grid, and the logits that are all it takes to fill it."""

    target: tuple[slice, ...]
    """Of the new grid."""
    logits: Tensor
    """(heads, z, y, x): a part of the network's grid."""
    grid: tuple[Neighbours, ...]
    """Between which voxels of `logits` the voxels of the target lie."""


class SlabFeed:
    """Tells what of the new grid each slab of logits completes, when they come one after the other along an axis.

    Of what came before only the last slice is kept.

    Args:
        shape: (z, y, x) of the network's grid.
        grid: between which of its voxels those of the new grid lie.
        axis: of (z, y, x), along which the slabs follow each other.
    """

    def __init__(self, shape: Sequence[int], grid: Sequence[Neighbours], axis: int = 0) -> None:
        self._shape, self._grid, self._axis = tuple(shape), tuple(grid), axis
        self._taken = self._done = 0
        self._last: Tensor | None = None

    def add(self, start: int, logits: Tensor) -> list[Box]:
        """The boxes that the slab (heads, …), which begins at `start` of the axis, completes.

        Raises:
            ValueError: it does not begin where the last one ended, or is of another size than the grid.
        """
        axis, along = self._axis, self._grid[self._axis]
        stop = start + logits.shape[1 + axis]
        across = [(a, size) for a, size in enumerate(self._shape) if a != axis]
        if start != self._taken or stop > self._shape[axis] or any(logits.shape[1 + a] != size for a, size in across):
            raise ValueError(
                f"A slab of shape {tuple(logits.shape)} at {start} does not continue a grid of shape {self._shape} "
                f"that is filled up to {self._taken} along axis {axis}."
            )
        reach = int(np.searchsorted(along.upper, stop))
        seam = min(reach, max(self._done, int(np.searchsorted(along.lower, start))))
        boxes = []
        if seam > self._done:
            assert self._last is not None
            both = torch.cat([self._last, logits.narrow(1 + axis, 0, 1)], 1 + axis)
            boxes.append(self._box(both, start - 1, self._done, seam))
        if reach > seam:
            boxes.append(self._box(logits, start, seam, reach))
        self._taken, self._done = stop, reach
        self._last = logits.narrow(1 + axis, logits.shape[1 + axis] - 1, 1).clone() if not self.complete else None
        return boxes

    @property
    def complete(self) -> bool:
        return self._taken == self._shape[self._axis]

    def _box(self, logits: Tensor, first: int, start: int, stop: int) -> Box:
        target = [slice(0, len(along.lower)) for along in self._grid]
        grid = list(self._grid)
        target[self._axis] = slice(start, stop)
        grid[self._axis] = grid[self._axis].part(start, stop).shifted(first)
        return Box(tuple(target), logits, tuple(grid))
