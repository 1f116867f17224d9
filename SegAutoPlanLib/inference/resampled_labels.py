"""The labels of resampled logits, interpolating only where neighbours disagree, and only what can win there.

Linear interpolation keeps the winner: the class with the largest logit at all voxels of a box has it everywhere inside
the box. So labels are found on the network's own grid first, and the new grid is filled tile by tile: with one label
where the network's voxels under a tile agree; elsewhere the interpolated logits of the classes that win at one of them
are compared, and with them the interpolation of the second largest logit. No class that wins nowhere in the tile is
above that: where it does not win, none of them does; where it does, all classes are looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..blas_threads import one_blas_thread
from ..labels import LabelScheme
from ..preprocessing.grid import Neighbours
from .interpolated_tiles import Tile, tile_layers
from .resampled_logits import logits_to_segmentation, resampled_slabs

RUN = 2**15
"""Voxels of the network's grid whose labels are found at a time: their values stay in a core's cache."""
OPEN_SHARE = 1 / 32
"""Where another class may win at more of a tile's voxels, all classes are interpolated in the whole tile."""
OPEN_AT_ONCE = 2**12


def fill_labels(labels: np.ndarray, logits: Tensor, grid: Sequence[Neighbours], label_scheme: LabelScheme) -> None:
    """Fill labels (z, y, x), uint8 or uint16, with those of logits (heads, …) interpolated as `grid` says.

    They are those of `fill_labels_from_slabs`, but where two classes are equal within rounding.
    """
    if logits.device.type != "cpu":
        fill_labels_from_slabs(labels, logits, grid, label_scheme)
        return
    logits = logits.detach()
    interpolates = any(along.weight.any() for along in grid)
    with one_blas_thread(), ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="export") as threads:
        for layer in tile_layers(grid, logits.shape[1:]):
            across = layer[0].axes[0]
            slab = logits[:, across.source]
            if label_scheme.has_regions:
                fill = partial(_paint_regions, labels, slab, label_scheme.regions_class_order)
            else:
                winners = _Winners.of(slab, labels.dtype, interpolates, threads.map)
                fill = partial(_fill_tile, labels, slab, winners)
            for _ in threads.map(fill, layer):
                pass


def fill_labels_from_slabs(
    labels: np.ndarray, logits: Tensor, grid: Sequence[Neighbours], label_scheme: LabelScheme
) -> None:
    """The same by interpolating all classes everywhere, on the device of the logits: a GPU does that at once."""
    fitting = torch.uint8 if labels.dtype == np.uint8 else torch.int32
    for slices, slab in resampled_slabs(logits, grid):
        labels[slices] = logits_to_segmentation(slab, label_scheme).to(fitting).cpu().numpy()


@dataclass(frozen=True)
class _Winners:
    """Of a slab of the network's grid."""

    labels: np.ndarray
    """(z, y, x)"""
    second: np.ndarray | None
    """(z, y, x) float32: the second largest logit, if there are more than two classes and it is wanted."""

    @classmethod
    def of(cls, slab: Tensor, dtype: np.dtype, with_second: bool, map_: Callable[..., Iterator[None]]) -> _Winners:
        labels = np.empty(slab.shape[1:], dtype)
        second = np.empty(slab.shape[1:], np.float32) if with_second and len(slab) > 2 else None
        winners = cls(labels, second)
        for _ in map_(partial(winners._find, slab), _runs(labels.shape)):
            pass
        return winners

    def _find(self, slab: Tensor, part: tuple[slice, slice]) -> None:
        values = _values(slab, part)
        largest = _Largest(self.labels[part], values[0], 0, None if self.second is None else self.second[part])
        for head in range(1, len(values)):
            largest.compare(values[head], head)


class _Largest:
    """The largest of several classes' values and whose it is; of equal ones the first, as argmax has it.

    `labels`, and `second` for the second largest where it is wanted, are filled; of the values a copy is made.
    """

    def __init__(self, labels: np.ndarray, values: np.ndarray, label: int, second: np.ndarray | None = None) -> None:
        self.values, self.labels, self.second = values.copy(), labels, second
        self._larger = np.empty(values.shape, bool)
        self._label = np.empty(values.shape, labels.dtype)
        self._smaller = np.empty_like(self.values)
        labels.fill(label)
        if second is not None:
            second.fill(-np.inf)

    def compare(self, values: np.ndarray, label: int) -> None:
        """Labels must come in ascending order: of those that were larger than all before, the last one counts."""
        np.greater(values, self.values, out=self._larger)
        if self.second is not None:
            np.minimum(values, self.values, out=self._smaller)
            np.maximum(self._smaller, self.second, out=self.second)
        np.maximum(values, self.values, out=self.values)
        np.multiply(self._larger.view(np.uint8), self.labels.dtype.type(label), out=self._label)
        np.maximum(self.labels, self._label, out=self.labels)


def _runs(shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    depth, height, width = shape
    rows = max(1, RUN // width)
    thickness = max(1, rows // height)
    for z, y in itertools.product(range(0, depth, thickness), range(0, height, rows)):
        yield slice(z, z + thickness), slice(y, y + rows)


def _values(logits: Tensor, part: tuple[slice, ...]) -> np.ndarray:
    """(heads, …) float32; a view if they are that already."""
    return logits[(slice(None), *part)].float().numpy()


def _fill_tile(labels: np.ndarray, slab: Tensor, winners: _Winners, tile: Tile) -> None:
    part = (slice(None), *tile.source[1:])
    counts = np.bincount(winners.labels[part].ravel(), minlength=len(slab))
    candidates = np.flatnonzero(counts)
    if len(candidates) == 1:
        labels[tile.target] = candidates[0]
        return
    if not tile.interpolates:
        labels[tile.target] = tile.pick(winners.labels[part])
        return
    values = _values(slab, part)
    found, largest = _compare(values, candidates, tile, labels.dtype)
    if winners.second is not None and len(candidates) < len(values):
        open_ = np.flatnonzero(tile.interpolate(winners.second[part]) > largest)
        if len(open_) > OPEN_SHARE * found.size:
            found, _ = _compare(values, range(len(values)), tile, labels.dtype)
        elif len(open_):
            voxels = np.unravel_index(open_, found.shape)
            found[voxels] = _labels_at(values, tile, voxels)
    labels[tile.target] = found


def _compare(values: np.ndarray, heads: Sequence[int], tile: Tile, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    first = tile.interpolate(values[heads[0]])
    largest = _Largest(np.empty(first.shape, dtype), first, heads[0])
    for head in heads[1:]:
        largest.compare(tile.interpolate(values[head]), head)
    return largest.labels, largest.values


def _labels_at(values: np.ndarray, tile: Tile, voxels: tuple[np.ndarray, ...]) -> np.ndarray:
    labels = np.empty(len(voxels[0]), np.intp)
    for start in range(0, len(labels), OPEN_AT_ONCE):
        part = slice(start, start + OPEN_AT_ONCE)
        labels[part] = tile.interpolate_at(values, tuple(index[part] for index in voxels)).argmax(0)
    return labels


def _paint_regions(labels: np.ndarray, slab: Tensor, order: Sequence[int], tile: Tile) -> None:
    target = labels[tile.target]
    target[...] = 0
    for head, label in zip(_values(slab, (slice(None), *tile.source[1:])), order, strict=True):
        if head.min() > 0:
            target[...] = label
        elif head.max() > 0:
            target[tile.interpolate(head) > 0] = label
