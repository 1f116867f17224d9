"""Where the tiles of a sliding window lie, and how much each of their voxels counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..errors import UserInputError

GAUSSIAN_SIGMA = 1 / 8
"""Of the tile's extent."""
GAUSSIAN_PEAK = 10.0
GAUSSIAN_REACH = 4.0
"""Standard deviations: beyond, scipy's filter is zero."""

LOWEST_STEP_SIZE = 0.05
"""Distance of tiles as a fraction of their size; a tenth of nnU-Net's, which is a thousand times the work in 3-D."""
MAX_TILES = 5_000_000
"""A whole body at 0.7 mm has 5,000 of 96³ voxels, and each takes about a second without a GPU."""


def tile_of(patch_size: Sequence[int]) -> tuple[int, ...]:
    """The extent of a tile in a volume (z, y, x): a patch, or for a 2d network a slice of it."""
    return (1, *patch_size) if len(patch_size) == 2 else tuple(patch_size)


def tile_count(size: int, tile: int, step_size: float) -> int:
    """How many tiles there are along one axis. `size` must be at least `tile`."""
    return math.ceil((size - tile) / (tile * step_size)) + 1


def count_tiles(shape: Sequence[int], patch_size: Sequence[int], step_size: float = 0.5) -> int:
    """How many tiles a volume (z, y, x) is segmented in."""
    tile = tile_of(patch_size)
    return math.prod(tile_count(max(s, t), t, step_size) for s, t in zip(shape, tile, strict=True))


def tile_starts(size: int, tile: int, step_size: float) -> list[int]:
    """First voxels of the tiles along one axis, spread evenly so that they end at the border.

    (110, 64, 0.5) → 0, 23, 46. `size` must be at least `tile`.
    """
    count = tile_count(size, tile, step_size)
    if count == 1:
        return [0]
    pace = (size - tile) / (count - 1)
    return [round(pace * i) for i in range(count)]


def tiles(shape: Sequence[int], tile: Sequence[int], step_size: float) -> list[tuple[int, ...]]:
    """The first voxel of every tile, last axis fastest.

    Raises:
        UserInputError: there would be more than `MAX_TILES`.
    """
    count = math.prod(tile_count(s, t, step_size) for s, t in zip(shape, tile, strict=True))
    if count > MAX_TILES:
        raise UserInputError(
            f"A volume of {' × '.join(f'{edge:,}' for edge in shape)} voxels would be segmented in {count:,} tiles of "
            f"{' × '.join(f'{edge:,}' for edge in tile)}; give a larger --step-size, or correct the voxel size of the "
            "image or the patch size of the plan."
        )
    return list(itertools.product(*(tile_starts(s, t, step_size) for s, t in zip(shape, tile, strict=True))))


def padding_to(shape: Sequence[int], tile: Sequence[int]) -> list[tuple[int, int]]:
    """(below, above) for each axis so that a tile fits; an odd rest goes above."""
    missing = [max(t - s, 0) for s, t in zip(shape, tile, strict=True)]
    return [(m // 2, m - m // 2) for m in missing]


@lru_cache(maxsize=8)
def gaussian_weights(tile: tuple[int, ...]) -> np.ndarray:
    """How much each voxel of a tile counts: a Gaussian about its middle, float32, never zero.

    It is the product of the filtered unit impulses of the axes, which is what filtering an impulse in the volume
    gives.
    """
    weights = np.ones(tile, dtype=np.float64)
    for axis, extent in enumerate(tile):
        weights *= _filtered_impulse(extent).reshape([-1 if a == axis else 1 for a in range(len(tile))])
    weights = (weights * (GAUSSIAN_PEAK / weights.max())).astype(np.float32)
    # nnU-Net keeps these in half precision; below its smallest number corners would not count at all.
    smallest = float(np.finfo(np.float16).smallest_subnormal)
    return np.maximum(weights, np.float32(smallest))


def _filtered_impulse(extent: int) -> np.ndarray:
    """What scipy's `gaussian_filter1d` makes of 1 in the middle of zeros, without its import of half a second."""
    sigma = extent * GAUSSIAN_SIGMA
    reach = int(GAUSSIAN_REACH * sigma + 0.5)
    kernel = np.exp(-0.5 / sigma**2 * np.arange(-reach, reach + 1) ** 2)
    around = np.pad(kernel / kernel.sum(), extent)
    first = extent + reach - extent // 2
    return around[first : first + extent]
