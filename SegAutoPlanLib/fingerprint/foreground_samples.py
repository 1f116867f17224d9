"""The intensities under the labels: nnU-Net's random draws, as values and how often each was drawn.

nnU-Net draws, with replacement, 10^8 foreground voxels over all cases and keeps them all. What its statistics
need is only each distinct value and its count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .random_words import RandomWords

SAMPLES_IN_TOTAL = 100_000_000
MIN_STRETCH, MAX_STRETCH = 1 << 12, 1 << 20
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
    words = RandomWords()
    count = int(np.count_nonzero(foreground))
    return tuple(_tally(channel[foreground], times_drawn(words, count, draws)) for channel in image)


def times_drawn(words: RandomWords, population: int, draws: int) -> np.ndarray:
    """How often each of `population` things comes up in numpy's `RandomState.randint(0, population, draws)`.

    That function cuts each random word to the bits it needs and passes over those that are still too large. The
    order of the draws does not matter here, so whole stretches of words are counted at once.
    """
    if population <= 1:
        return np.full(population, draws, np.int64)
    mask = np.uint32((1 << (population - 1).bit_length()) - 1)
    times = np.zeros(population, np.int64)
    missing = draws
    while missing:
        stretch = words.peek(_stretch(missing, population, int(mask))) & mask
        counts = np.bincount(stretch, minlength=population)[:population]
        found = int(counts.sum())
        if found > missing:
            stretch = stretch[: np.flatnonzero(stretch < population)[missing - 1] + 1]
            counts, found = np.bincount(stretch, minlength=population)[:population], missing
        words.advance(len(stretch))
        times += counts
        missing -= found
    return times


def _stretch(missing: int, population: int, mask: int) -> int:
    """A number of words that holds most of the missing draws, and rarely more."""
    expected = missing * (mask + 1) / population
    fitting = int(expected - 4 * expected**0.5)
    return min(max(fitting, MIN_STRETCH), max(MAX_STRETCH, mask + 1))


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
