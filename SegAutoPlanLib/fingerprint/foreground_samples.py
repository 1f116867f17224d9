"""The intensities under the labels: nnU-Net's random draws, as values and how often each was drawn.

nnU-Net draws, with replacement, 10^8 foreground voxels over all cases and keeps them all. What its statistics
need is only each distinct value and its count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLES_IN_TOTAL = 100_000_000
SEED = 1234
DRAWS_AT_ONCE = 1 << 22
WIDEST_TABLE = 1 << 20


@dataclass(frozen=True)
class DrawnValues:
    """Distinct values of one channel of one case, ascending, and how often each was drawn."""

    values: np.ndarray
    """float32"""
    counts: np.ndarray
    """int64"""


def draw_foreground(image: np.ndarray, foreground: np.ndarray, draws: int) -> tuple[DrawnValues, ...]:
    """Draw `draws` foreground voxels of each channel of a case, as nnU-Net draws them.

    Args:
        image: (c, z, y, x) float32.
        foreground: (z, y, x) bool.

    One generator of fixed seed serves the case's channels in turn. Without foreground nothing is drawn.
    """
    random = np.random.RandomState(SEED)
    voxels = np.flatnonzero(foreground)
    return tuple(_tally(channel.reshape(-1)[voxels], _times_drawn(random, len(voxels), draws)) for channel in image)


def _times_drawn(random: np.random.RandomState, population: int, draws: int) -> np.ndarray:
    """How often each of `population` voxels was drawn; in pieces, which leaves the stream as it is."""
    times = np.zeros(population, np.int64)
    if population == 0:
        return times
    at_once = max(DRAWS_AT_ONCE, population)
    for start in range(0, draws, at_once):
        drawn = random.randint(0, population, min(at_once, draws - start))
        times += np.bincount(drawn, minlength=population)
    return times


def _tally(values: np.ndarray, times: np.ndarray) -> DrawnValues:
    drawn = times > 0
    values, times = values[drawn], times[drawn]
    if not values.size:
        return DrawnValues(values, times)
    lowest = values.min()
    steps = values - lowest
    if steps.max() < WIDEST_TABLE and (values == np.rint(values)).all():
        # Whole numbers, as most scanners write them, are counted in a table instead of sorted.
        table = np.bincount(steps.astype(np.intp), weights=times).astype(np.int64)
        found = np.flatnonzero(table)
        return DrawnValues((found + np.float64(lowest)).astype(np.float32), table[found])
    distinct, inverse = np.unique(values, return_inverse=True)
    return DrawnValues(distinct, np.bincount(inverse, weights=times).astype(np.int64))
