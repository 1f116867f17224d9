"""What makes the segmentation of a large image sooner and inexact: all of it off unless somebody asks for it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .tiling import count_tiles, tile_of, tile_starts

AIR_LOGIT = 10.0
"""Of the background where nothing was computed; the other labels have its negative."""
AIR_SHARE = 0.1
"""Of the way from a channel's darkest to its brightest values: what lies below is air."""
DARKEST, BRIGHTEST = 0.5, 99.5
"""Percentiles."""
STRAY_SHARE = 1e-3
"""Of a tile's voxels: so many may be brighter without being body."""
SAMPLED_VOXELS = 1_000_000
"""Enough for percentiles."""
STEP_GROWTH = 0.05


@dataclass(frozen=True)
class Shortcuts:
    """What is left out. Every field but its default makes a segmentation another one than the model's."""

    skip_air: bool = False
    """Tiles without body are background."""
    coarse_step_above: int | None = None
    """An image of more tiles than this is segmented with a larger step, as far as needed."""
    time_limit: float | None = None
    """Minutes per image, after which only what is not covered yet is computed, and without mirrored copies."""

    def in_words(self) -> str:
        """The options that were asked for; empty where the segmentation is exact."""
        given = {
            "--skip-air": self.skip_air or None,
            "--coarse-step-above": self.coarse_step_above,
            "--time-limit": self.time_limit,
        }
        return ", ".join(name if value is True else f"{name} {value:g}" for name, value in given.items() if value)

    @property
    def is_exact(self) -> bool:
        return not self.in_words()

    def step_for(self, shape: Sequence[int], patch_size: Sequence[int], step_size: float) -> float:
        """The step for a volume (z, y, x): the smallest from `step_size` on that keeps to the number of tiles."""
        most = self.coarse_step_above
        while most is not None and step_size < 1 and count_tiles(shape, patch_size, step_size) > most:
            step_size = min(round(step_size + STEP_GROWTH, 4), 1.0)
        return step_size


EXACT = Shortcuts()


def air_thresholds(volume: np.ndarray) -> np.ndarray:
    """Of each channel of a volume (c, z, y, x): below it, a voxel is air.

    Air is dark in MR, CT and PET alike, whatever the scale of the numbers; where it is not, do not skip it.
    """
    flat = volume.reshape(len(volume), -1)
    sample = flat[:, :: max(1, flat.shape[1] // SAMPLED_VOXELS)]
    darkest, brightest = np.percentile(sample, (DARKEST, BRIGHTEST), axis=1)
    return (darkest + AIR_SHARE * (brightest - darkest)).astype(np.float32)


def is_air(tile: np.ndarray, thresholds: np.ndarray) -> bool:
    """Whether a tile (c, z, y, x) has hardly a voxel above the threshold in any of the first channels."""
    return all(
        np.count_nonzero(channel > threshold) <= STRAY_SHARE * channel.size
        for channel, threshold in zip(tile, thresholds, strict=False)
    )


def covering_tiles(shape: Sequence[int], patch_size: Sequence[int], step_size: float) -> set[tuple[int, ...]]:
    """Those tiles of a volume (z, y, x) that are enough to cover it once."""
    tile = tile_of(patch_size)
    starts = [_covering(tile_starts(s, t, step_size), t) for s, t in zip(shape, tile, strict=True)]
    return set(itertools.product(*starts))


def _covering(starts: Sequence[int], extent: int) -> list[int]:
    """Of the tiles along an axis, as few as leave no gap."""
    chosen = [starts[0]]
    for start, following in itertools.pairwise(starts):
        if following > chosen[-1] + extent:
            chosen.append(start)
    return chosen if len(starts) == 1 else [*chosen, starts[-1]]
