"""Bringing images and segmentations to a new grid: one small matrix per axis.

Interpolation by splines is linear and separable, so resampling along an axis is a matrix: the one that scipy
makes of the unit vectors. Three products with such matrices equal `scipy.ndimage.zoom` (and thereby nnU-Net's
cubic resampling) to float precision, at the speed of matrix multiplication.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..blas_threads import one_blas_thread
from ..errors import UserInputError
from .axis_matrix import apply_along_axis, axis_matrix
from .grid import nearest_indices, separate_axis
from .label_resampling import resample_by_indicators, resample_labels

SINGLE_PRECISION_UP_TO = 64
"""Normalised intensities are this small; larger values are multiplied in double precision."""

SLAB_BYTES = 4 << 20


def resample(
    array: np.ndarray,
    new_shape: Sequence[int],
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    is_seg: bool = False,
    order: int = 3,
    order_z: int = 0,
    force_separate_z: bool | None = None,
) -> np.ndarray:
    """Resample a (c, z, y, x) array to `new_shape` (z, y, x); nnU-Net's `resample_data_or_seg_to_shape`.

    Where the voxels of the new grid lie on the old one, `grid.resized_positions` says.
    Values stay within the input's range, of each channel, or of each slice where the coarse axis is treated on
    its own. Labels go to the one with the largest interpolated indicator. The dtype is kept.
    """
    new_shape = tuple(int(size) for size in new_shape)
    if array.shape[1:] == new_shape:
        return array
    _check_sizes(array.shape[1:], new_shape)
    axis = separate_axis(current_spacing, new_spacing, force_separate_z)
    one = _resample_label_map if is_seg else _resample_values
    with one_blas_thread():
        if len(array) == 1:
            return one(array[0], new_shape, axis, order, order_z)[None].astype(array.dtype, copy=False)
        result = np.empty((len(array), *new_shape), array.dtype)
        for channel, target in zip(array, result, strict=True):
            target[...] = one(channel, new_shape, axis, order, order_z)
        return result


def no_resampling(array: np.ndarray, *_: Any, **__: Any) -> np.ndarray:
    """nnU-Net's `no_resampling_hack`: leave the grid as it is."""
    return array


def _check_sizes(shape: tuple[int, ...], new_shape: tuple[int, ...]) -> None:
    if min(new_shape) < 1 or min(shape) < 1:
        raise UserInputError(
            f"an image of {' x '.join(map(str, shape))} voxels would become {' x '.join(map(str, new_shape))}; "
            "its spacing is wrong or the plan's target spacing is too coarse, correct either."
        )


def _resample_values(
    values: np.ndarray, new_shape: tuple[int, ...], axis: int | None, order: int, order_z: int
) -> np.ndarray:
    first = axis or 0
    slices = np.moveaxis(values, first, 0)
    size, *plane = (new_shape[first], *np.delete(new_shape, first))
    lowest, highest = slices.min(axis=(1, 2), keepdims=True), slices.max(axis=(1, 2), keepdims=True)
    large = max(-lowest.min(), highest.max()) > SINGLE_PRECISION_UP_TO
    exact = np.dtype(np.float64 if large or values.dtype == np.float64 else np.float32)
    in_plane = _resample_in_plane(slices, tuple(plane), order, exact)
    if axis is None:
        result = in_plane
        if len(slices) != size:
            result = apply_along_axis(axis_matrix(len(slices), size, order), in_plane, 0)
        np.clip(result, lowest.min(), highest.max(), out=result)
        return result
    np.clip(in_plane, lowest, highest, out=in_plane)
    return np.moveaxis(_along_first_axis(in_plane, size, order_z), 0, first)


def _resample_in_plane(slices: np.ndarray, plane: tuple[int, ...], order: int, exact: np.dtype) -> np.ndarray:
    """The two inner axes, a few slices at a time, so that what lies between the two products stays small."""
    result = np.empty((len(slices), *plane), exact)
    # The axis that shrinks more goes first: the other then has less to do.
    axes = sorted((2, 1), key=lambda axis: plane[axis - 1] / slices.shape[axis])
    at_once = max(1, SLAB_BYTES // max(slices[0].size * exact.itemsize, 1))
    for start in range(0, len(slices), at_once):
        slab = np.ascontiguousarray(slices[start : start + at_once], exact)
        for axis in axes:
            if slab.shape[axis] != plane[axis - 1]:
                slab = apply_along_axis(axis_matrix(slab.shape[axis], plane[axis - 1], order), slab, axis)
        result[start : start + at_once] = slab
    return result


def _resample_label_map(
    labels: np.ndarray, new_shape: tuple[int, ...], axis: int | None, order: int, order_z: int
) -> np.ndarray:
    if axis is None:
        return resample_labels(labels, new_shape, order)
    slices = np.moveaxis(labels, axis, 0)
    size, *plane = (new_shape[axis], *np.delete(new_shape, axis))
    if order > 1:
        in_plane = np.stack([resample_by_indicators(labels, tuple(plane), order) for labels in slices])
    else:
        in_plane = resample_labels(slices, (len(slices), *plane), order)
    if order_z == 0 or len(slices) == size:
        return np.moveaxis(_along_first_axis(in_plane, size, 0), 0, axis)
    result = np.zeros((size, *plane), labels.dtype)
    for label in np.unique(in_plane):
        indicator = (in_plane == label).astype(np.float64)
        result[np.round(_along_first_axis(indicator, size, order_z)) > 0.5] = label
    return np.moveaxis(result, 0, axis)


def _along_first_axis(values: np.ndarray, size: int, order: int) -> np.ndarray:
    if len(values) == size:
        return values
    if order == 0:
        return values[nearest_indices(len(values), size)]
    return apply_along_axis(axis_matrix(len(values), size, order), values, 0)
