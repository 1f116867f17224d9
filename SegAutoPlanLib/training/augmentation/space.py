"""Turning, zooming, bending and turning over: where the voxels of a patch come from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .changes import SpaceChange
from .elastic import displacements
from .label_reading import read_labels


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
    crop = image.shape[1:]
    places = _places_from_the_middle(change, size, image.device)
    # torch wants x first, and the crop's ends at -1 and 1.
    grid = torch.stack([place * (2 / extent) for place, extent in zip(places, crop, strict=True)][::-1], dim=-1)
    mode = "nearest" if change.nearest_image else "bilinear"
    seen = grid_sample(image[None], grid[None], mode=mode, align_corners=False)[0]
    voxels = [place + (extent - 1) / 2 for place, extent in zip(places, crop, strict=True)]
    return seen, read_labels(labels, voxels, interpolated=not change.nearest_labels)


def _places_from_the_middle(change: SpaceChange, size: Sequence[int], device: torch.device) -> list[Tensor]:
    """For each voxel of the patch its place in the crop, per axis (*patch), in voxels from the crop's middle."""
    matrix = affine_matrix(change.angles, change.scales)
    shapes = [[-1 if other == axis else 1 for other in range(len(size))] for axis in range(len(size))]
    from_middle = [torch.arange(length, device=device) - (length - 1) / 2 for length in size]
    offsets = [axis.view(shape) for axis, shape in zip(from_middle, shapes, strict=True)]
    places = [sum(float(weight) * offset for weight, offset in zip(row, offsets, strict=True)) for row in matrix]
    if change.elastic is None:
        return places
    moved = np.einsum("ij,j...->i...", matrix, displacements(change.elastic, size))
    # The patch stays where it is on average.
    moved -= moved.mean(axis=tuple(range(1, moved.ndim)), keepdims=True)
    shifts = torch.from_numpy(moved).float().to(device)
    return [place + shift for place, shift in zip(places, shifts, strict=True)]


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
