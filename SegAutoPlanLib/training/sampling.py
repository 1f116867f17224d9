"""Which patch of which case: uniform over cases, a third of each batch held to contain foreground.

Every sample has a generator of its own, seeded by its place in the training. A batch is therefore the same
whatever the number of workers or processes, and a resumed training sees what the uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from ..labels import Label
from ..preprocessing import TrainingCase

PADDING_LABEL = -1


@dataclass(frozen=True)
class Patch:
    """A crop before augmentation: image (c, z, y, x) float32 and label values (z, y, x) int16, -1 outside."""

    image: np.ndarray
    labels: np.ndarray
    previous: np.ndarray | None = None
    """A cascade's second stage: the first one's labels, as `labels`."""


def must_hold_foreground(position: int, batch_size: int, share: float) -> bool:
    """Whether the sample at this place of the (global) batch is forced to contain foreground (the last ones are)."""
    return position >= round(batch_size * (1 - share))


def last_of_batch(position: int, batch_size: int, share: float, _rng: np.random.Generator) -> bool:
    """The last samples of each batch, so many as the share comes to: nnU-Net's rule."""
    return must_hold_foreground(position, batch_size, share)


def coin(_position: int, _batch_size: int, share: float, rng: np.random.Generator) -> bool:
    """Each sample by chance: nnU-Net's probabilistic oversampling."""
    return rng.random() < share


def coin_as_last(position: int, batch_size: int, share: float, rng: np.random.Generator) -> bool:
    """Each sample by chance, and as many as `last` forces: in batches of two, half of them."""
    forced = sum(must_hold_foreground(place, batch_size, share) for place in range(batch_size))
    return coin(position, batch_size, forced / batch_size, rng)


OVERSAMPLINGS: dict[str, Callable[[int, int, float, np.random.Generator], bool]] = {
    "last": last_of_batch,
    "coin": coin,
    "coin_as_last": coin_as_last,
}
"""Place in the (global) batch, its size, the share, the sample's generator → whether it must contain foreground."""


def positions_of_rank(batch_size: int, rank: int, world: int) -> range:
    """The places of the global batch that one of `world` processes fills; the first take what does not divide."""
    share, rest = divmod(batch_size, world)
    start = rank * share + min(rank, rest)
    return range(start, start + share + (rank < rest))


def draw_corner(
    case: TrainingCase,
    rng: np.random.Generator,
    crop_size: Sequence[int],
    final_size: Sequence[int],
    forced: bool,
) -> tuple[int, ...]:
    """The first voxel (three axes) of a crop at a random place; it may lie outside the image.

    `final_size` is what is left after augmentation; the part lost to it may lie outside the image, so that borders
    are seen as often as centres. Where only a part is annotated, crops that need no foreground lie around an
    annotated voxel.
    """
    shape = case.data.shape[1:]
    voxel = _draw_voxel(case, rng, forced)
    lower = []
    for axis in range(3):
        margin = max(crop_size[axis] - final_size[axis], crop_size[axis] - shape[axis], 0)
        lowest = -margin // 2
        highest = shape[axis] + margin // 2 + margin % 2 - crop_size[axis]
        if voxel is None:
            lower.append(int(rng.integers(lowest, max(lowest, highest) + 1)))
        else:
            lower.append(max(lowest, int(voxel[axis]) - crop_size[axis] // 2))
    return tuple(lower)


def cut_patch(case: TrainingCase, lower: Sequence[int], size: Sequence[int]) -> Patch:
    """The crop of `size` voxels (three axes) that begins there, padded where the image ends."""
    image = np.stack([_crop(channel, lower, size, 0) for channel in case.data])
    previous = case.previous_stage
    if previous is not None:
        previous = _crop(previous, lower, size, PADDING_LABEL, np.int16)
    return Patch(image, _crop(case.segmentation, lower, size, PADDING_LABEL), previous)


def _draw_voxel(case: TrainingCase, rng: np.random.Generator, forced: bool) -> np.ndarray | None:
    present = {label: points for label, points in case.foreground_locations.items() if len(points)}
    annotated = [label for label in present if _means_annotated(label)]
    # The annotated voxels are the class to take only where there is no other, or where none is asked for.
    others = [label for label in present if label not in annotated]
    eligible = (others or annotated) if forced else annotated
    if not eligible:
        return None
    points = present[eligible[rng.integers(len(eligible))]]
    return np.asarray(points[rng.integers(len(points))])


def _means_annotated(label: Label) -> bool:
    """Whether this is the entry for all that is not to be ignored (preprocessing.foreground), and no class."""
    return isinstance(label, tuple) and PADDING_LABEL in label


def _crop(
    array: np.ndarray, lower: Sequence[int], size: Sequence[int], fill: float, dtype: DTypeLike = None
) -> np.ndarray:
    inside = tuple(
        slice(max(low, 0), max(min(low + extent, length), 0))
        for low, extent, length in zip(lower, size, array.shape, strict=True)
    )
    patch = np.full(tuple(size), fill, dtype=dtype or array.dtype)
    target = tuple(
        slice(part.start - low, part.stop - low) if part.stop > part.start else slice(0, 0)
        for part, low in zip(inside, lower, strict=True)
    )
    patch[target] = array[inside]
    return patch
