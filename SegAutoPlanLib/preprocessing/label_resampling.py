"""Resampling label maps: the label with the largest interpolated indicator wins.

Interpolating the indicator of every label over the whole volume is not needed: where all the voxels around a
sample point carry one label, that label wins. Only the mixed points, near surfaces, are looked at closely, with
the sums in scipy's order, so that the result equals batchgenerators 0.25.5 voxel for voxel, ties included.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

POINTS_AT_ONCE = 1 << 18


def resample_labels(labels: np.ndarray, new_shape: Sequence[int], order: int = 1) -> np.ndarray:
    """Resample a (z, y, x) label map; no label appears that is not in it.

    Ties go to the nearest voxel's label if it is among the winners, else to the lowest label.
    """
    new_shape = tuple(new_shape)
    if order == 0:
        return _nearest(labels, new_shape)
    if order == 1:
        return _linear(labels, new_shape)
    return _by_indicators(labels, new_shape, order)


def _positions(size: int, new_size: int) -> np.ndarray:
    """Where the new voxels lie on the old axis; the outermost may lie beyond its ends."""
    return (np.arange(new_size) + 0.5) * (size / new_size) - 0.5


def nearest_indices(size: int, new_size: int) -> np.ndarray:
    """For each voxel of the new axis the nearest old one."""
    return np.clip(np.floor(_positions(size, new_size) + 0.5).astype(np.intp), 0, size - 1)


def _nearest(labels: np.ndarray, new_shape: tuple[int, ...]) -> np.ndarray:
    for axis, size in enumerate(new_shape):
        if labels.shape[axis] != size:
            labels = labels.take(nearest_indices(labels.shape[axis], size), axis=axis)
    return labels


def _neighbours(size: int, new_size: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Indices of the lower and upper neighbour of each new voxel on one axis, and their weights."""
    positions = _positions(size, new_size)
    lower = np.floor(positions)
    weight = positions - lower
    below = np.clip(lower.astype(np.intp), 0, size - 1)
    above = np.clip(lower.astype(np.intp) + 1, 0, size - 1)
    # A neighbour of no weight must not make a point look mixed.
    return (below, np.where(weight == 0, below, above)), (1 - weight, weight)


def _linear(labels: np.ndarray, new_shape: tuple[int, ...]) -> np.ndarray:
    result = _nearest(labels, new_shape)
    if result is labels:
        return labels
    axes = [_neighbours(old, new) for old, new in zip(labels.shape, new_shape, strict=True)]
    lowest = highest = labels
    for axis, ((below, above), _) in enumerate(axes):
        if labels.shape[axis] != new_shape[axis]:
            lowest = np.minimum(lowest.take(below, axis=axis), lowest.take(above, axis=axis))
            highest = np.maximum(highest.take(below, axis=axis), highest.take(above, axis=axis))
    mixed = np.flatnonzero(lowest != highest)
    flat = result.reshape(-1) if result.flags.c_contiguous else (result := np.ascontiguousarray(result)).reshape(-1)
    for start in range(0, len(mixed), POINTS_AT_ONCE):
        points = mixed[start : start + POINTS_AT_ONCE]
        flat[points] = _winners(labels, np.unravel_index(points, new_shape), axes, flat[points])
    return result


def _winners(labels: np.ndarray, points: tuple[np.ndarray, ...], axes: Sequence, nearest: np.ndarray) -> np.ndarray:
    """The winning label of each point from the labels and weights of the corners around it."""
    active = [a for a, ((below, _), (_, upper)) in enumerate(axes) if upper.any()]
    corners, weights = [], []
    for corner in itertools.product((0, 1), repeat=len(active)):
        side = dict(zip(active, corner, strict=True))
        corners.append(labels[tuple(axes[a][0][side.get(a, 0)][points[a]] for a in range(3))])
        weight = np.ones(1)
        for a in active:
            weight = weight * axes[a][1][side[a]][points[a]]
        weights.append(weight)
    best = np.full(len(nearest), -1.0)
    winner = np.empty_like(nearest)
    nearest_score = np.zeros(len(nearest))
    for candidate in corners:
        score = np.zeros(len(nearest))
        for label, weight in zip(corners, weights, strict=True):
            score += np.where(label == candidate, weight, 0.0)
        np.minimum(score, 1.0, out=score)
        np.copyto(nearest_score, score, where=candidate == nearest)
        better = (score > best) | ((score == best) & (candidate < winner))
        np.copyto(winner, candidate, where=better)
        np.maximum(best, score, out=best)
    return np.where(nearest_score == best, nearest, winner)


def _by_indicators(labels: np.ndarray, new_shape: tuple[int, ...], order: int) -> np.ndarray:
    """Splines of higher order reach too far for shortcuts; no plan of nnU-Net's asks for them."""
    from scipy import ndimage

    zoom = [new / old for old, new in zip(labels.shape, new_shape, strict=True)]
    nearest = _nearest(labels, new_shape)
    best = np.full(new_shape, -1.0)
    winner = np.empty(new_shape, labels.dtype)
    nearest_wins = np.zeros(new_shape, bool)
    for label in np.unique(labels):
        indicator = (labels == label).astype(float)
        score = np.clip(ndimage.zoom(indicator, zoom, order=order, mode="nearest", grid_mode=True), 0, indicator.max())
        nearest_wins &= ~(score > best)
        nearest_wins |= (score >= best) & (score > 0) & (nearest == label)
        np.copyto(winner, label, where=score > best)
        np.maximum(best, score, out=best)
    return np.where(nearest_wins, nearest, winner)
