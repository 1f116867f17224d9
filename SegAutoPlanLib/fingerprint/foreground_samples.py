"""The intensities under the labels: nnU-Net's random draws, as values and how often each was drawn.

nnU-Net draws, with replacement, 10^8 foreground voxels over all cases and keeps them all. What its statistics
need is only each distinct value and its count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

SEED = 1234
SAMPLES_IN_TOTAL = 100_000_000
WORDS_AT_ONCE = 1 << 20
WORDS_KEPT = 1 << 22
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


class RandomWords:
    """The 32-bit words behind numpy's `RandomState(1234)`, from the first on.

    Each case begins with the same ones, so they are made once and kept. Made anew, the fingerprint takes 1.17 (200
    hippocampi) and 1.23 times as long (28 STS-MR volumes).
    """

    def __init__(self) -> None:
        self._ready, state = _first_words()
        self._random = np.random.RandomState()
        self._random.set_state(state)

    def take(self, most: int) -> np.ndarray:
        """The next words (uint32): `most`, or fewer where the kept ones end; at least one."""
        if not len(self._ready):
            self._ready = _draw(self._random, most)
        taken, self._ready = self._ready[:most], self._ready[most:]
        return taken


@lru_cache(maxsize=1)
def _first_words() -> tuple[np.ndarray, Any]:
    random = np.random.RandomState(SEED)
    return _draw(random, WORDS_KEPT), random.get_state()


def _draw(random: np.random.RandomState, count: int) -> np.ndarray:
    return random.randint(0, 1 << 32, count, dtype=np.uint32)


def times_drawn(words: RandomWords, population: int, draws: int) -> np.ndarray:
    """How often each of `population` things comes up in numpy's `RandomState.randint(0, population, draws)`.

    That function cuts each random word to the bits it needs and passes over those that are still too large; their
    order does not matter here, so they are counted many at once. With `randint` itself the fingerprint takes
    1.27 (hippocampi), 1.49 (STS-MR) and 1.55 times as long (PET-CT).
    """
    if population <= 1:
        return np.full(population, draws, np.int64)
    mask = np.uint32((1 << (population - 1).bit_length()) - 1)
    at_once = max(WORDS_AT_ONCE, population)
    times = np.zeros(population, np.int64)
    while draws:
        # Never more words than draws are missing: the last one taken is the last one that counts.
        found = np.bincount(words.take(min(draws, at_once)) & mask, minlength=population)[:population]
        times += found
        draws -= int(found.sum())
    return times


def _tally(values: np.ndarray, times: np.ndarray) -> DrawnValues:
    drawn = times > 0
    values, times = values[drawn], times[drawn]
    if not values.size:
        return DrawnValues(values, times)
    lowest = values.min()
    steps = values - lowest
    if steps.max() < WIDEST_TABLE and (values == np.rint(values)).all():
        # Whole numbers, as most scanners write them, are counted in a table instead of sorted: where numpy sorts
        # without AVX, 8 microscope images cost 1.2 times the processor time otherwise.
        table = np.bincount(steps.astype(np.intp), weights=times).astype(np.int64)
        found = np.flatnonzero(table)
        return DrawnValues((found + np.float64(lowest)).astype(np.float32), table[found])
    distinct, inverse = np.unique(values, return_inverse=True)
    return DrawnValues(distinct, np.bincount(inverse, weights=times).astype(np.int64))
