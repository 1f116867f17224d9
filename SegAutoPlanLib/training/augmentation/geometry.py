"""What augmentation needs to know of the patch size: angles, and the larger crop to turn it in. No torch needed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .ranges import DEFAULT_SPACE, SpaceRanges

ANISOTROPY = 3


@dataclass(frozen=True)
class AugmentationGeometry:
    """What follows from the patch size. Sizes have two (2d) or three axes, in voxels, transposed axis order."""

    patch_size: tuple[int, ...]
    crop_size: tuple[int, ...]
    """What is cropped, so that a rotated patch has something to show in its corners."""
    rotation: float
    """Largest angle about each axis, in radians, both ways."""
    in_plane_only: bool
    """Anisotropic patches are rotated and scaled slice by slice (nnU-Net's dummy 2D)."""


def augmentation_geometry(
    patch_size: tuple[int, ...], space: SpaceRanges | None = DEFAULT_SPACE
) -> AugmentationGeometry:
    """Rotation range and enlarged crop for a patch, by nnU-Net's rules; without `space` the crop is the patch."""
    if space is None:
        return AugmentationGeometry(patch_size, patch_size, 0.0, False)
    if len(patch_size) == 2:
        in_plane_only = False
        degrees = 15 if max(patch_size) / min(patch_size) > 1.5 else 180
    else:
        in_plane_only = space.in_plane_if_anisotropic and max(patch_size) / patch_size[0] > ANISOTROPY
        degrees = 180 if in_plane_only else 30
    angle = math.radians(degrees)
    crop = _enlarged(patch_size, angle, space.crop_margin)
    if in_plane_only:
        crop = (patch_size[0], *crop[1:])
    return AugmentationGeometry(patch_size, crop, angle, in_plane_only)


def _enlarged(patch_size: tuple[int, ...], angle: float, margin: float) -> tuple[int, ...]:
    """The farthest that the patch's corner gets along each axis when turned about one axis, over the margin."""
    angle = min(angle, math.pi / 2)
    c, s = math.cos(angle), math.sin(angle)
    corner = np.array(patch_size, dtype=float)
    if len(patch_size) == 2:
        turns = [np.array([[c, s], [-s, c]])]
    else:
        turns = [
            np.array([[1, 0, 0], [0, c, s], [0, -s, c]]),
            np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]),
            np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]),
        ]
    reach = np.max([corner, *(np.abs(turn @ corner) for turn in turns)], axis=0)
    return tuple(int(extent) for extent in reach / margin)
