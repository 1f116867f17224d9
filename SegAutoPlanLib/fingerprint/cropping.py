"""Cutting away the empty border of an image, and marking in the segmentation what lies outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OUTSIDE = -1
"""The segmentation value of voxels that belong to no object and lie outside the imaged region."""


@dataclass(frozen=True)
class Crop:
    """The part of an image with values other than zero."""

    image: np.ndarray
    """(c, z, y, x); a view of what was given."""
    segmentation: np.ndarray
    """(z, y, x); background outside the imaged region is `OUTSIDE`. Without a given segmentation 0 inside, int8."""
    bounding_box: tuple[tuple[int, int], ...]
    """[lower, upper) of each axis in the uncropped image."""


def crop_to_nonzero(image: np.ndarray, segmentation: np.ndarray | None = None) -> Crop:
    """Crop to the voxels in which any channel differs from zero, holes filled (as nnU-Net does).

    Args:
        image: (c, z, y, x).
        segmentation: (z, y, x), a signed integer type; never changed in place.

    An image of zeros only keeps its size, and all of it is outside.
    """
    nonzero = image[0] != 0
    for channel in image[1:]:
        nonzero |= channel != 0
    box = _bounding_box(nonzero)
    slices = tuple(slice(*bounds) for bounds in box)
    # Filling holes never moves the box, so only what is left after cropping needs to be filled.
    outside = _connected_to_border(~nonzero[slices])
    if segmentation is None:
        inner = np.zeros(image[0][slices].shape, np.int8)
        if outside is not None:
            inner[outside] = OUTSIDE
    else:
        inner = segmentation[slices]
        if outside is not None:
            inner = np.where(outside & (inner == 0), inner.dtype.type(OUTSIDE), inner)
    return Crop(image[(slice(None), *slices)], inner, box)


def _bounding_box(mask: np.ndarray) -> tuple[tuple[int, int], ...]:
    """The smallest [lower, upper) box around True; the whole array if there is none."""
    plane = mask.any(axis=0)
    profiles = (mask.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0))
    if not profiles[0].any():
        return tuple((0, size) for size in mask.shape)
    return tuple((int(found[0]), int(found[-1]) + 1) for found in map(np.flatnonzero, profiles))


def _connected_to_border(empty: np.ndarray) -> np.ndarray | None:
    """The empty voxels that reach the border of the array through faces; None if there are none."""
    if not empty.any():
        return None
    from scipy import ndimage

    components, count = ndimage.label(empty)
    at_border = np.zeros(count + 1, bool)
    for axis in range(empty.ndim):
        for face in (0, -1):
            at_border[components.take(face, axis=axis)] = True
    at_border[0] = False
    return at_border[components] if at_border.any() else None
