"""The matrix that interpolates along one axis.

Splines are linear in the samples, so resampling an axis is a matrix, and a small one. It is the one that
`scipy.ndimage.zoom(..., mode="nearest", grid_mode=True)` applies, made here without scipy, whose import takes
longer than the resampling of a small image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .grid import resized_positions

NEGLIGIBLE = 1e-12
"""Weights below are zeroed: a spline's tails end in subnormal numbers, which are twelve times slower."""

ROWS_AT_ONCE = 16
SPLINE_REACH = 32
"""Beyond so many voxels the weights of a cubic spline are far below `NEGLIGIBLE`."""
SPLINE_MATRICES = 3
"""Of as many rows as columns, between which the coefficients of a band are found."""

EDGE = 12
"""So many copies of its last voxel are put before and behind an axis, as scipy does."""


@dataclass(frozen=True)
class MatrixRows:
    """Some rows of a matrix, without the columns in which they are zero."""

    first_row: int
    first_column: int
    weights: np.ndarray
    """(rows, columns) float64."""


def matrix_bytes(size: int, new_size: int) -> int:
    """About what making and keeping the matrix of an axis takes."""
    if size == new_size or new_size < 1:
        return 0
    columns = min(size, ROWS_AT_ONCE * size // new_size + 2 * SPLINE_REACH)
    return 8 * (new_size * columns + SPLINE_MATRICES * columns**2)


@lru_cache(maxsize=256)
def axis_matrix(size: int, new_size: int, order: int) -> tuple[MatrixRows, ...]:
    """The (new_size, size) matrix, in bands of rows."""
    bands = []
    everywhere = resized_positions(size, new_size)
    for start in range(0, new_size, ROWS_AT_ONCE):
        positions = everywhere[start : start + ROWS_AT_ONCE]
        lower = min(max(int(positions[0]) - SPLINE_REACH, 0), size - 1)
        columns = min(int(positions[-1]) + SPLINE_REACH + 1, size) - lower
        weights = _weights(positions - lower, columns, order)
        weights[np.abs(weights) < NEGLIGIBLE] = 0
        used = np.flatnonzero(weights.any(axis=0))
        bands.append(MatrixRows(start, lower + int(used[0]), weights[:, used[0] : used[-1] + 1]))
    return tuple(bands)


def apply_along_axis(matrix: tuple[MatrixRows, ...], values: np.ndarray, axis: int) -> np.ndarray:
    """Multiply one axis of a (z, y, x) float array by its matrix."""
    shape = list(values.shape)
    shape[axis] = matrix[-1].first_row + len(matrix[-1].weights)
    result = np.empty(shape, values.dtype)
    for band in matrix:
        rows = slice(band.first_row, band.first_row + len(band.weights))
        columns = slice(band.first_column, band.first_column + band.weights.shape[1])
        weights = band.weights.astype(values.dtype)
        if axis == 0:
            flat = values[columns].reshape(len(values[columns]), -1)
            np.matmul(weights, flat, out=result[rows].reshape(len(weights), -1))
        elif axis == 1:
            np.matmul(weights, values[:, columns], out=result[:, rows])
        else:
            np.matmul(values[:, :, columns], weights.T, out=result[:, :, rows])
    return result


def _weights(positions: np.ndarray, size: int, order: int) -> np.ndarray:
    """(positions, size): what each voxel of an axis counts at each position (voxels; the axis may be overstepped)."""
    if order == 3:
        return _cubic(positions, size)
    if order == 1:
        lower = np.floor(positions)
        return _taps(lower.astype(int), [1 - (positions - lower), positions - lower], _edges_repeated(size, 1), 1)
    if order == 0:
        return _taps(np.floor(positions + 0.5).astype(int), [np.ones(len(positions))], _edges_repeated(size, 1), 1)
    from scipy import ndimage

    grid = np.meshgrid(positions, np.arange(size), indexing="ij")
    return ndimage.map_coordinates(np.eye(size), grid, order=order, mode="nearest")


def _cubic(positions: np.ndarray, size: int) -> np.ndarray:
    """The cubic B-spline through the samples: solve for its coefficients, then weigh the four around a position."""
    lower = np.floor(positions)
    t = positions - lower
    basis = [(1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3]
    return _taps(lower.astype(int) - 1, [part / 6 for part in basis], _spline_coefficients(size), EDGE)


@lru_cache(maxsize=32)
def _spline_coefficients(size: int) -> np.ndarray:
    """(size + 2 EDGE, size): the coefficients that unit samples have, the edges repeated."""
    samples = _edges_repeated(size, EDGE)
    count = len(samples)
    collocation = np.diag(np.full(count, 4 / 6))
    collocation += np.diag(np.full(count - 1, 1 / 6), 1) + np.diag(np.full(count - 1, 1 / 6), -1)
    collocation[0, 0] += 1 / 6
    collocation[-1, -1] += 1 / 6
    return np.linalg.solve(collocation, samples)


def _edges_repeated(size: int, edge: int) -> np.ndarray:
    """(size + 2 edge, size): the unit samples, the first and last of them `edge` times more."""
    return np.eye(size)[np.clip(np.arange(-edge, size + edge), 0, size - 1)]


def _taps(first: np.ndarray, weights: list[np.ndarray], samples: np.ndarray, edge: int) -> np.ndarray:
    """Sum over neighbouring rows of `samples`, from row `first` (+ edge) on, each with its weights."""
    return sum(weight[:, None] * samples[first + step + edge] for step, weight in enumerate(weights))
