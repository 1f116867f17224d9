"""A resized grid in tiles, each of which is interpolated by three small matrices while its values are in the cache."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..preprocessing.grid import Neighbours

TILE_SHAPE = (32, 32, 64)
"""Voxels (z, y, x), on whichever of the two grids has more of them."""


@dataclass(frozen=True)
class TileAxis:
    """A tile's extent along one axis."""

    target: slice
    """Of the new grid."""
    source: slice
    """Of the old grid: between its voxels the target's lie."""
    along: Neighbours
    """How they lie, counted from the first of the source."""
    matrix: np.ndarray | None
    """(voxels of the target, voxels of the source) float32; None if both are the same voxels."""


@dataclass(frozen=True)
class Tile:
    """A box of the new grid, and the box of the old one between whose voxels its own lie."""

    axes: tuple[TileAxis, ...]
    """(z, y, x)"""

    @property
    def source(self) -> tuple[slice, ...]:
        """The box of the old grid."""
        return tuple(axis.source for axis in self.axes)

    @property
    def target(self) -> tuple[slice, ...]:
        """The box of the new grid."""
        return tuple(axis.target for axis in self.axes)

    @property
    def interpolates(self) -> bool:
        """Whether some voxel of the target is more than a copy of one of the source."""
        return any(axis.along.weight.any() for axis in self.axes)

    def pick(self, values: np.ndarray) -> np.ndarray:
        """Values (z, y, x) of the source at the target of a tile that does not interpolate."""
        for axis, part in enumerate(self.axes):
            if part.matrix is not None:
                values = values.take(part.along.lower, axis)
        return values

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """Values (z, y, x) float32 of the source, interpolated at all voxels of the target."""
        # The axis that shrinks most goes first, so that the others have less to do; of those that grow the first axis
        # goes last, where its product is the quickest one.
        for axis in sorted((2, 1, 0), key=lambda a: min(1, len(self.axes[a].along.lower) / values.shape[a])):
            matrix = self.axes[axis].matrix
            if matrix is None:
                continue
            if axis == 0:
                values = (matrix @ values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])
            elif axis == 1:
                values = matrix @ values
            else:
                values = (values.reshape(-1, values.shape[2]) @ matrix.T).reshape(*values.shape[:2], -1)
        return values

    def interpolate_at(self, values: np.ndarray, voxels: tuple[np.ndarray, ...]) -> np.ndarray:
        """Values (heads, z, y, x) of the source, interpolated at n voxels (z, y, x) of the target: (heads, n)."""
        total = np.zeros((len(values), len(voxels[0])), np.float32)
        for corner in itertools.product((False, True), repeat=3):
            at, weight = [], np.ones(len(voxels[0]))
            for axis, index, upper in zip(self.axes, voxels, corner, strict=True):
                at.append((axis.along.upper if upper else axis.along.lower)[index])
                weight *= axis.along.weight[index] if upper else 1 - axis.along.weight[index]
            total += values[(slice(None), *at)] * weight.astype(np.float32)
        return total


def tile_layers(grid: Sequence[Neighbours], shape: Sequence[int]) -> Iterator[list[Tile]]:
    """All tiles of a grid whose voxels lie between those of a grid of `shape`, layer by layer along the first axis."""
    first, *others = [_parts(*axis) for axis in zip(grid, shape, TILE_SHAPE, strict=True)]
    for along_first in first:
        yield [Tile((along_first, *rest)) for rest in itertools.product(*others)]


def _parts(along: Neighbours, size: int, longest: int) -> list[TileAxis]:
    count = len(along.lower)
    step = max(1, min(longest, longest * count // size))
    return [_axis(along, start, min(start + step, count)) for start in range(0, count, step)]


def _axis(grid: Neighbours, start: int, stop: int) -> TileAxis:
    part = grid.part(start, stop)
    source = slice(int(part.lower.min()), int(part.upper.max()) + 1)
    along = part.shifted(source.start)
    return TileAxis(slice(start, stop), source, along, _matrix(along, source.stop - source.start))


def _matrix(along: Neighbours, size: int) -> np.ndarray | None:
    if not along.weight.any() and np.array_equal(along.lower, np.arange(size)):
        return None
    rows = np.arange(len(along.lower))
    matrix = np.zeros((len(rows), size), np.float32)
    matrix[rows, along.upper] += along.weight.astype(np.float32)
    matrix[rows, along.lower] += (1 - along.weight).astype(np.float32)
    return matrix
