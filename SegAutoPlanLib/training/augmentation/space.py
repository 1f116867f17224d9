"""Turning, zooming, bending and turning over: where the voxels of a patch come from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ..sampling import PADDING_LABEL
from .changes import ElasticChange, SpaceChange
from .elastic import displacements

LABELS_AT_ONCE = 4
"""How many labels are interpolated in one go: the crop is held as often, as numbers."""


def middle_of(array: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of the last axes, `size` voxels of each; nnU-Net's choice where it cannot be the exact middle."""
    for axis, extent in enumerate(size, start=array.ndim - len(size)):
        array = array.narrow(axis, array.shape[axis] // 2 - extent // 2, extent)
    return array


def change_space(
    image: Tensor, labels: Tensor, change: SpaceChange | None, patch_size: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The patch in the middle of a crop.

    Args:
        image: (c, *crop) float32.
        labels: (maps, *crop) int16.
        change: None only crops.

    Returns:
        Image (c, *patch), 0 outside the crop, and labels (maps, *patch), -1 outside.
    """
    if change is None:
        return middle_of(image, patch_size).clone(), middle_of(labels, patch_size).clone()
    if not change.in_plane_only:
        return _sample(image, labels, change, patch_size)
    # Slices become channels, so that every slice is changed alike in its plane.
    in_plane = patch_size[1:]
    seen, named = _sample(image.flatten(0, 1), labels.flatten(0, 1), change, in_plane)
    return seen.view(*image.shape[:2], *in_plane), named.view(*labels.shape[:2], *in_plane)


def _sample(image: Tensor, labels: Tensor, change: SpaceChange, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    grid = _sampling_grid(change, size, image.shape[1:]).to(image.device)
    mode = "nearest" if change.nearest_image else "bilinear"
    seen = grid_sample(image[None], grid, mode=mode, align_corners=False)[0]
    read = _nearest_labels if change.nearest_labels else _interpolated_labels
    return seen, read(labels, grid)


def _nearest_labels(labels: Tensor, grid: Tensor) -> Tensor:
    shifted = (labels - PADDING_LABEL).float()
    read = grid_sample(shifted[None], grid, mode="nearest", align_corners=False)[0]
    return read.round().to(labels.dtype) + PADDING_LABEL


def _interpolated_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """The label whose indicator, interpolated, is the largest; the padding's is what the others leave of 1."""
    shape = (labels.shape[0], *grid.shape[1:-1])
    winner = torch.full(shape, PADDING_LABEL, dtype=labels.dtype, device=labels.device)
    best = torch.zeros(shape, device=labels.device)
    total = torch.zeros(shape, device=labels.device)
    present = [value for value in torch.unique(labels).tolist() if value != PADDING_LABEL]
    for start in range(0, len(present), LABELS_AT_ONCE):
        values = present[start : start + LABELS_AT_ONCE]
        indicators = torch.stack([labels == value for value in values]).float()
        scores = grid_sample(indicators.flatten(0, 1)[None], grid, mode="bilinear", align_corners=False)[0]
        for value, score in zip(values, scores.view(len(values), *shape), strict=True):
            total += score
            winner.masked_fill_(score > best, value)
            torch.maximum(best, score, out=best)
    return winner.masked_fill_(1 - total > best, PADDING_LABEL)


def _sampling_grid(change: SpaceChange, size: Sequence[int], crop: Sequence[int]) -> Tensor:
    """torch's grid (1, *patch, axes): for each voxel of the patch its place in the crop, x first, -1 … 1."""
    matrix = affine_matrix(change.angles, change.scales)
    patch_halves, crop_halves = np.array(size) / 2, np.array(crop) / 2
    of_patch = matrix * patch_halves / crop_halves[:, None]
    theta = np.concatenate([of_patch[::-1, ::-1], np.zeros((len(size), 1))], axis=1)
    grid = affine_grid(torch.from_numpy(theta).float()[None], [1, 1, *size], align_corners=False)
    if change.elastic is not None:
        grid = grid + torch.from_numpy(_bent(change.elastic, matrix / crop_halves[:, None], size))
    return grid


def _bent(elastic: ElasticChange, to_crop: np.ndarray, size: Sequence[int]) -> np.ndarray:
    moved = np.einsum("ij,j...->...i", to_crop, displacements(elastic, size))
    # The patch stays where it is on average.
    moved -= moved.mean(axis=tuple(range(len(size))))
    return np.ascontiguousarray(moved[..., ::-1], dtype=np.float32)


def affine_matrix(angles: Sequence[float], scales: Sequence[float]) -> np.ndarray:
    """Rz·Ry·Rx·S for three axes in array order, or R·S for two: from a voxel of the patch, seen from its middle, to
    the place in the crop where it is read."""
    cosines, sines = [math.cos(angle) for angle in angles], [math.sin(angle) for angle in angles]
    if len(scales) == 2:
        (c,), (s,) = cosines, sines
        return np.array([[c, -s], [s, c]]) @ np.diag(scales)
    (cx, cy, cz), (sx, sy, sz) = cosines, sines
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x @ np.diag(scales)
