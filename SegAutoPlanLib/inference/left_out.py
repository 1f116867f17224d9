"""Which tiles are left out where somebody asked for an inexact segmentation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

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


def coarser_step(shape: Sequence[int], patch_size: Sequence[int], step_size: float, most: int | None) -> float:
    """The smallest step from `step_size` on with which a volume (z, y, x) has at most so many tiles; 1 if none has."""
    while most is not None and step_size < 1 and count_tiles(shape, patch_size, step_size) > most:
        step_size = min(round(step_size + STEP_GROWTH, 4), 1.0)
    return step_size


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
