"""Resampling label maps: the label with the largest interpolated indicator wins.

Interpolating the indicator of every label over the whole volume is not needed: where all the voxels around a
sample point carry one label, that label wins. Only the mixed points, near surfaces, are looked at closely, with
the sums in scipy's order, so that the result equals batchgenerators 0.25.5 voxel for voxel, ties included.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from .grid import Neighbours, linear_neighbours, nearest_indices

POINTS_AT_ONCE = 1 << 18
SLAB_VOXELS = 1 << 21


def resample_labels(labels: np.ndarray, new_shape: Sequence[int], order: int = 1) -> np.ndarray:
    """Resample a (z, y, x) label map; no label appears that is not in it.

    Ties go to the nearest voxel's label if it is among the winners, else to the lowest label.
    """
    new_shape = tuple(new_shape)
    if labels.shape == new_shape:
        return labels
    if order == 0:
        return _nearest(labels, new_shape)
    if order == 1:
        return _linear(labels, new_shape)
    return resample_by_indicators(labels, new_shape, order)


def _nearest(labels: np.ndarray, new_shape: tuple[int, ...]) -> np.ndarray:
    for axis, size in enumerate(new_shape):
        if labels.shape[axis] != size:
            labels = labels.take(nearest_indices(labels.shape[axis], size), axis=axis)
    return labels


def _linear(labels: np.ndarray, new_shape: tuple[int, ...]) -> np.ndarray:
    axes = [linear_neighbours(old, new) for old, new in zip(labels.shape, new_shape, strict=True)]
    nearest, lowest, highest = _around_each_point(labels, new_shape, axes)
    flat, mixed = nearest.reshape(-1), np.flatnonzero(lowest != highest)
    for start in range(0, len(mixed), POINTS_AT_ONCE):
        points = mixed[start : start + POINTS_AT_ONCE]
        flat[points] = _winners(labels, np.unravel_index(points, new_shape), axes, flat[points])
    return nearest


def _around_each_point(
    labels: np.ndarray, new_shape: tuple[int, ...], axes: Sequence[Neighbours]
) -> tuple[np.ndarray, ...]:
    """For each point of the new grid the nearest label, and the lowest and highest of the (up to eight) around it.

    Neighbours of no weight are not among them, or points on a voxel of the old grid would look mixed.

    The inner axes are done a few slices at a time, to stay in the processor's cache.
    """
    in_plane = np.empty((3, len(labels), *new_shape[1:]), labels.dtype)
    at_once = max(1, SLAB_VOXELS // labels[0].size)
    for start in range(0, len(labels), at_once):
        found = (labels[start : start + at_once],) * 3
        for axis in (1, 2):
            if labels.shape[axis] != new_shape[axis]:
                found = _along(found, axis, axes[axis], nearest_indices(labels.shape[axis], new_shape[axis]))
        for part, target in zip(found, in_plane, strict=True):
            target[start : start + at_once] = part
    if len(labels) == new_shape[0]:
        return tuple(in_plane)
    return _along(tuple(in_plane), 0, axes[0], nearest_indices(len(labels), new_shape[0]))


def _along(
    found: tuple[np.ndarray, ...], axis: int, neighbours: Neighbours, nearest: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Take (nearest, lowest, highest) to the new points of one axis."""

    def both(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return whole.take(neighbours.lower, axis, mode="clip"), whole.take(neighbours.upper, axis, mode="clip")

    return found[0].take(nearest, axis, mode="clip"), np.minimum(*both(found[1])), np.maximum(*both(found[2]))


def _winners(
    labels: np.ndarray, points: tuple[np.ndarray, ...], axes: Sequence[Neighbours], nearest: np.ndarray
) -> np.ndarray:
    """The winning label of each point from the labels and weights of the corners around it."""
    sides = [((axis.lower, 1 - axis.weight), (axis.upper, axis.weight)) for axis in axes]
    active = [a for a, axis in enumerate(axes) if axis.weight.any()]
    corners, weights = [], []
    for corner in itertools.product((0, 1), repeat=len(active)):
        side = dict(zip(active, corner, strict=True))
        corners.append(labels[tuple(sides[a][side.get(a, 0)][0][points[a]] for a in range(3))])
        weight = np.ones(1)
        for a in active:
            weight = weight * sides[a][side[a]][1][points[a]]
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


def resample_by_indicators(labels: np.ndarray, new_shape: tuple[int, ...], order: int) -> np.ndarray:
    """Labels of two or three axes by splines of higher order, which reach too far for shortcuts (and which no plan
    of nnU-Net's asks for)."""
    from scipy import ndimage

    zoom = [new / old for old, new in zip(labels.shape, new_shape, strict=True)]
    nearest = _nearest(labels, new_shape)
    best = np.full(new_shape, -1.0)
    winner = np.empty(new_shape, labels.dtype)
    nearest_wins = np.zeros(new_shape, bool)
    for label in np.unique(labels):
        indicator = (labels == label).astype(float)
        score = ndimage.zoom(indicator, zoom, order=order, mode="nearest", grid_mode=True)
        np.clip(score, indicator.min(), indicator.max(), out=score)
        nearest_wins &= ~(score > best)
        nearest_wins |= (score >= best) & (score > 0) & (nearest == label)
        np.copyto(winner, label, where=score > best)
        np.maximum(best, score, out=best)
    return np.where(nearest_wins, nearest, winner)
