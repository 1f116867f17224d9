"""The stream of 32-bit words behind numpy's `RandomState(1234)`, to look ahead in."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

SEED = 1234
WORDS_KEPT = 1 << 22


class RandomWords:
    """The words from the first on. Each case reads the same ones, so the first are made once and kept."""

    def __init__(self) -> None:
        self._ahead, state = _opening()
        self._random = np.random.RandomState()
        self._random.set_state(state)

    def peek(self, count: int) -> np.ndarray:
        """The next words (uint32), `count` or, where that saves joining, fewer; at least one."""
        if not len(self._ahead):
            self._ahead = _draw(self._random, max(count, 1))
        return self._ahead[:count]

    def advance(self, count: int) -> None:
        """Pass over words that were peeked at."""
        self._ahead = self._ahead[count:]


@lru_cache(maxsize=1)
def _opening() -> tuple[np.ndarray, Any]:
    random = np.random.RandomState(SEED)
    words = _draw(random, WORDS_KEPT)
    words.flags.writeable = False
    return words, random.get_state()


def _draw(random: np.random.RandomState, count: int) -> np.ndarray:
    return random.randint(0, 1 << 32, count, dtype=np.uint32)
