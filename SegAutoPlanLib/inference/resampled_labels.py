"""The labels of resampled logits, interpolating only where neighbours disagree, and only what can win there.

Linear interpolation keeps the winner: the class with the largest logit at all voxels of a box has it everywhere inside
the box. So labels are found on the network's own grid first, and the new grid is filled tile by tile: with one label
where the network's voxels under a tile agree; elsewhere the interpolated logits of the classes that win at one of them
are compared, and with them the interpolation of the largest logit of all other classes. That is nowhere below any of
theirs: where it does not win, none of them does; where it does, all classes are looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..blas_threads import one_blas_thread
from ..labels import LabelScheme
from ..preprocessing.grid import Neighbours
from .resampled_logits import logits_to_segmentation, resampled_slabs

TILE = (32, 32, 64)
"""Voxels of a tile: the values of a class stay in a core's cache."""
RUN = 2**16
"""Voxels of the network's grid whose labels are found at a time, for the same reason."""
OPEN_SHARE = 1 / 32
"""Where another class may win in more of a tile's voxels, all classes are interpolated in the whole tile."""
OPEN_AT_ONCE = 2**12


def fill_labels(labels: np.ndarray, logits: Tensor, grid: Sequence[Neighbours], label_scheme: LabelScheme) -> None:
    """Fill labels (z, y, x), uint8 or uint16, with those of logits (heads, …) interpolated as `grid` says.

    They are those of the logits' `resampled_slabs`, but where two classes are equal within rounding. On a GPU they are
    made from these.
    """
    if logits.device.type != "cpu":
        for slices, slab in resampled_slabs(logits, grid):
            labels[slices] = logits_to_segmentation(slab, label_scheme).cpu().numpy()
        return
    logits = logits.detach()
    with one_blas_thread(), ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="export") as threads:
        if label_scheme.has_regions:
            fill = partial(_paint_regions, labels, logits, label_scheme.regions_class_order)
        else:
            own = np.empty(logits.shape[1:], labels.dtype)
            for _ in threads.map(partial(_find_labels, own, logits), _runs(own.shape)):
                pass
            if not any(along.weight.any() for along in grid):
                labels[...] = own[np.ix_(*(along.lower for along in grid))]
                return
            fill = partial(_fill_tile, labels, logits, own)
        for _ in threads.map(fill, _tiles(grid, logits.shape[1:])):
            pass


@dataclass(frozen=True)
class _Axis:
    """A tile's extent along an axis."""

    target: slice
    source: slice
    along: Neighbours
    matrix: np.ndarray | None
    """(voxels of the target, voxels of the source) float32, None if they are the same."""


def _axis_parts(along: Neighbours, size: int, longest: int) -> list[_Axis]:
    count = len(along.lower)
    step = max(1, min(longest, longest * count // size))
    parts = []
    for start in range(0, count, step):
        part = along.part(start, start + step)
        source = slice(int(part.lower.min()), int(part.upper.max()) + 1)
        part = part.shifted(source.start)
        parts.append(_Axis(slice(start, start + len(part.lower)), source, part, _matrix(part, source)))
    return parts


def _matrix(along: Neighbours, source: slice) -> np.ndarray | None:
    rows, columns = np.arange(len(along.lower)), source.stop - source.start
    if not along.weight.any() and np.array_equal(along.lower, np.arange(columns)):
        return None
    matrix = np.zeros((len(rows), columns), np.float32)
    matrix[rows, along.upper] += along.weight.astype(np.float32)
    matrix[rows, along.lower] += (1 - along.weight).astype(np.float32)
    return matrix


def _tiles(grid: Sequence[Neighbours], shape: Sequence[int]) -> Iterator[tuple[_Axis, ...]]:
    return itertools.product(*map(_axis_parts, grid, shape, TILE))


def _runs(shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    depth, height, width = shape
    rows = max(1, RUN // width)
    if rows < height:
        for z, y in itertools.product(range(depth), range(0, height, rows)):
            yield slice(z, z + 1), slice(y, y + rows)
    else:
        for z in range(0, depth, rows // height):
            yield slice(z, z + rows // height), slice(None)


def _values(logits: Tensor, part: tuple[slice, ...]) -> np.ndarray:
    """(heads, …) float32; a view if they are that already."""
    return logits[(slice(None), *part)].float().numpy()


def _find_labels(own: np.ndarray, logits: Tensor, part: tuple[slice, slice]) -> None:
    values = _values(logits, part)
    largest = _Largest(own[part], values[0], 0)
    for head in range(1, len(values)):
        largest.compare(values[head], head)


class _Largest:
    """The largest of several classes' values and whose it is; of equal ones the first, as argmax has it."""

    def __init__(self, labels: np.ndarray, values: np.ndarray, label: int) -> None:
        self.values, self.labels = values.copy(), labels
        self._larger = np.empty(values.shape, bool)
        self._label = np.empty(values.shape, labels.dtype)
        labels.fill(label)

    def compare(self, values: np.ndarray, label: int) -> None:
        """Labels must come in ascending order: then the last one that was larger is the largest one that was."""
        np.greater(values, self.values, out=self._larger)
        np.maximum(values, self.values, out=self.values)
        np.multiply(self._larger.view(np.uint8), self.labels.dtype.type(label), out=self._label)
        np.maximum(self.labels, self._label, out=self.labels)


def _fill_tile(labels: np.ndarray, logits: Tensor, own: np.ndarray, tile: tuple[_Axis, ...]) -> None:
    source = tuple(axis.source for axis in tile)
    target = tuple(axis.target for axis in tile)
    counts = np.bincount(own[source].ravel(), minlength=len(logits))
    candidates = np.flatnonzero(counts)
    if len(candidates) == 1:
        labels[target] = candidates[0]
        return
    values = _values(logits, source)
    found, largest = _compare(values, candidates, tile, labels.dtype)
    others = np.flatnonzero(counts == 0)
    if len(others):
        rest = values[others[0]].copy()
        for head in others[1:]:
            np.maximum(rest, values[head], out=rest)
        open_ = np.nonzero(_interpolated(rest, tile) > largest)
        if len(open_[0]) > OPEN_SHARE * found.size:
            found, _ = _compare(values, range(len(values)), tile, labels.dtype)
        elif len(open_[0]):
            found[open_] = _labels_at(values, tile, open_)
    labels[target] = found


def _compare(
    values: np.ndarray, heads: Sequence[int], tile: tuple[_Axis, ...], dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    first = _interpolated(values[heads[0]], tile)
    largest = _Largest(np.empty(first.shape, dtype), first, heads[0])
    for head in heads[1:]:
        largest.compare(_interpolated(values[head], tile), head)
    return largest.labels, largest.values


def _interpolated(values: np.ndarray, tile: tuple[_Axis, ...]) -> np.ndarray:
    # The axis that shrinks most goes first, so that the others have less to do.
    for axis in sorted(range(3), key=lambda a: len(tile[a].along.lower) / values.shape[a]):
        matrix = tile[axis].matrix
        if matrix is None:
            continue
        if axis == 0:
            values = (matrix @ values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])
        elif axis == 1:
            values = matrix @ values
        else:
            values = (values.reshape(-1, values.shape[2]) @ matrix.T).reshape(*values.shape[:2], -1)
    return values


def _labels_at(values: np.ndarray, tile: tuple[_Axis, ...], where: tuple[np.ndarray, ...]) -> np.ndarray:
    """Of all classes, at some voxels (z, y, x) of a tile."""
    labels = np.empty(len(where[0]), np.intp)
    for start in range(0, len(labels), OPEN_AT_ONCE):
        part = slice(start, start + OPEN_AT_ONCE)
        total = 0
        for upper in itertools.product((False, True), repeat=3):
            at, weight = [], 1
            for axis, index, is_upper in zip(tile, where, upper, strict=True):
                along, index = axis.along, index[part]
                at.append((along.upper if is_upper else along.lower)[index])
                weight = weight * (along.weight[index] if is_upper else 1 - along.weight[index])
            total = total + values[(slice(None), *at)] * weight.astype(np.float32)
        labels[part] = total.argmax(0)
    return labels


def _paint_regions(labels: np.ndarray, logits: Tensor, order: Sequence[int], tile: tuple[_Axis, ...]) -> None:
    values = _values(logits, tuple(axis.source for axis in tile))
    target = labels[tuple(axis.target for axis in tile)]
    for head, label in zip(values, order, strict=True):
        if head.min() > 0:
            target[...] = label
        elif head.max() > 0:
            target[_interpolated(head, tile) > 0] = label
