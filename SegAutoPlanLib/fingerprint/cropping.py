"""Cutting away the empty border of an image, and marking in the segmentation what lies outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OUTSIDE = -1
"""The segmentation value of voxels that belong to no object and lie outside the imaged region."""

FEW = 1 / 64
"""Up to this share of empty voxels the outside is followed from neighbour to neighbour; with more, all are labelled."""


@dataclass(frozen=True)
class Crop:
    """The part of an image with values other than zero."""

    image: np.ndarray
    """(c, z, y, x); a view of what was given."""
    segmentation: np.ndarray
    """(z, y, x); background outside the imaged region is `OUTSIDE`. Without a given segmentation 0 inside, int8."""
    bounding_box: tuple[tuple[int, int], ...]
    """[lower, upper) of each axis in the uncropped image."""
    blank: bool
    """Every voxel of the image is zero; then it keeps its size, and all of it is outside."""


def crop_to_nonzero(image: np.ndarray, segmentation: np.ndarray | None = None) -> Crop:
    """Crop to the voxels in which any channel differs from zero, holes filled (as nnU-Net does).

    Args:
        image: (c, z, y, x).
        segmentation: (z, y, x), a signed integer type; `OUTSIDE` is written into it.
    """
    empty = image[0] == 0
    for channel in image[1:]:
        empty &= channel == 0
    box = _bounding_box(empty)
    slices = tuple(slice(*bounds) for bounds in box or ((0, size) for size in empty.shape))
    # Filling holes never moves the box, so only what is left after cropping needs to be filled.
    outside = _connected_to_border(empty[slices])
    inner = np.zeros(image[0][slices].shape, np.int8) if segmentation is None else segmentation[slices]
    if outside.any():
        # Slice by slice, without a second mask of the whole.
        for labels, beyond in zip(inner, outside, strict=True):
            np.putmask(labels, beyond & (labels == 0), OUTSIDE)
    return Crop(image[(slice(None), *slices)], inner, tuple((s.start, s.stop) for s in slices), blank=box is None)


def _bounding_box(empty: np.ndarray) -> tuple[tuple[int, int], ...] | None:
    """The smallest [lower, upper) box around what is not empty; None if all is."""
    plane = empty.all(axis=0)
    profiles = (empty.all(axis=(1, 2)), plane.all(axis=1), plane.all(axis=0))
    if profiles[0].all():
        return None
    return tuple((int(found[0]), int(found[-1]) + 1) for found in (np.flatnonzero(~line) for line in profiles))


def _connected_to_border(empty: np.ndarray) -> np.ndarray:
    """The empty voxels that reach the border of the array through faces. `empty` may be used up."""
    return _follow(empty) if np.count_nonzero(empty) <= FEW * empty.size else _label(empty)


def _follow(empty: np.ndarray) -> np.ndarray:
    """From the border inwards. A CT of 512 x 512 x 400 voxels has few of exactly 0: 0.04 s and 0.1 GB here, 0.6 s and
    0.5 GB if labelled, which is a third of the time of its preprocessing."""
    # A margin that is not empty: every voxel then has all its neighbours.
    room = np.zeros([size + 2 for size in empty.shape], bool)
    unreached = room[1:-1, 1:-1, 1:-1]
    unreached[...] = empty
    flat = room.reshape(-1)
    places = np.flatnonzero(flat)
    at_border = np.zeros(len(places), bool)
    for step, size in zip(room.strides, room.shape, strict=True):
        index = places // step % size
        at_border |= (index == 1) | (index == size - 2)
    frontier = places[at_border]
    steps = np.array([[step, -step] for step in room.strides]).reshape(-1, 1)
    while len(frontier):
        flat[frontier] = False
        neighbours = (frontier + steps).reshape(-1)
        frontier = np.unique(neighbours[flat[neighbours]])
    return np.greater(empty, unreached, out=empty)


def _label(empty: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    components, count = ndimage.label(empty)
    at_border = np.zeros(count + 1, bool)
    for axis in range(empty.ndim):
        for face in (0, -1):
            at_border[components.take(face, axis=axis)] = True
    at_border[0] = False
    return at_border[components]
