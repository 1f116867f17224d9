"""Cutting away the empty border of an image, and marking in the segmentation what lies outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OUTSIDE = -1
"""The segmentation value of voxels that belong to no object and lie outside the imaged region."""

EMPTY, REACHED = 1, 2
FEW = 1 << 18
"""Up to so many empty voxels are followed one by one; more are cheaper to label all at once."""


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
    outside = _connected_to_border(np.ascontiguousarray(empty[slices]))
    inner = np.zeros(image[0][slices].shape, np.int8) if segmentation is None else segmentation[slices]
    if outside is not None:
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


def _connected_to_border(empty: np.ndarray) -> np.ndarray | None:
    """The empty voxels that reach the border of the array through faces; None if there are none.

    `empty` is used up.
    """
    at_border = _border(empty)
    if not len(at_border):
        return None
    outside = _follow(empty, at_border)
    return _components_at_border(empty.view(np.uint8) != 0) if outside is None else outside


def _border(mask: np.ndarray) -> np.ndarray:
    """Flat indices of what is True on the faces of the array."""
    found = []
    for axis in range(mask.ndim):
        for face in {0, mask.shape[axis] - 1}:
            places = list(np.nonzero(mask.take(face, axis)))
            places.insert(axis, np.full_like(places[0], face))
            found.append(np.ravel_multi_index(places, mask.shape))
    return np.unique(np.concatenate(found))


def _follow(empty: np.ndarray, frontier: np.ndarray) -> np.ndarray | None:
    """Walk from the border from neighbour to neighbour; None if there turn out to be many."""
    state = empty.view(np.uint8)
    flat = state.reshape(-1)
    flat[frontier] = REACHED
    steps = [(axis_step // empty.itemsize, size) for axis_step, size in zip(empty.strides, empty.shape, strict=True)]
    walked = len(frontier)
    while len(frontier):
        if walked > FEW:
            return None
        reached = []
        for step, size in steps:
            place = frontier // step % size
            reached += [frontier[place > 0] - step, frontier[place < size - 1] + step]
        frontier = np.concatenate(reached)
        frontier = np.unique(frontier[flat[frontier] == EMPTY])
        flat[frontier] = REACHED
        walked += len(frontier)
    return np.equal(state, REACHED, out=empty)


def _components_at_border(empty: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    components, count = ndimage.label(empty)
    at_border = np.zeros(count + 1, bool)
    for axis in range(empty.ndim):
        for face in (0, -1):
            at_border[components.take(face, axis=axis)] = True
    at_border[0] = False
    return at_border[components]
