"""Statistics of very many samples in little memory.

Samples come as (value, count) pairs and are kept in a file once they are many. Order statistics are selected
exactly by radix: a first pass counts values by their upper 16 bits, a second one by the lower 16 bits of the few
bins in which the wanted ranks fall.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np

from .fingerprint import Intensities
from .foreground_samples import DrawnValues

IN_MEMORY_BYTES = 64 << 20
PAIRS_AT_ONCE = 1 << 20
PAIR = np.dtype([("value", np.float32), ("count", np.uint32)])
HALF_BITS = 16
BINS = 1 << HALF_BITS


class SamplePool:
    """The samples of one channel over all cases."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        self._upper_counts = np.zeros(BINS, np.int64)
        self._sum = 0.0
        self._lowest, self._highest = np.inf, -np.inf

    def add(self, drawn: DrawnValues) -> None:
        if not len(drawn.values):
            return
        pairs = np.empty(len(drawn.values), PAIR)
        pairs["value"], pairs["count"] = drawn.values, drawn.counts
        self._file.write(pairs.tobytes())
        upper = _sortable(drawn.values) >> HALF_BITS
        self._upper_counts += np.bincount(upper, weights=drawn.counts, minlength=BINS).astype(np.int64)
        self._sum += float(np.dot(drawn.values.astype(np.float64), drawn.counts))
        self._lowest = min(self._lowest, float(drawn.values[0]))
        self._highest = max(self._highest, float(drawn.values[-1]))

    def __len__(self) -> int:
        return int(self._upper_counts.sum())

    def statistics(self) -> Intensities:
        """nnU-Net's seven numbers; the percentiles interpolate linearly between neighbouring samples."""
        mean = self._sum / len(self)
        low, median, high = self._percentiles((0.5, 50.0, 99.5))
        return Intensities(
            max=self._highest,
            mean=mean,
            median=median,
            min=self._lowest,
            percentile_00_5=low,
            percentile_99_5=high,
            std=self._deviation(mean),
        )

    def close(self) -> None:
        self._file.close()

    def _pieces(self) -> Iterator[np.ndarray]:
        self._file.seek(0)
        while piece := self._file.read(PAIRS_AT_ONCE * PAIR.itemsize):
            yield np.frombuffer(piece, PAIR)

    def _deviation(self, mean: float) -> float:
        squares = sum(
            float(np.dot((pairs["value"].astype(np.float64) - mean) ** 2, pairs["count"])) for pairs in self._pieces()
        )
        return float(np.sqrt(squares / len(self)))

    def _percentiles(self, percents: tuple[float, ...]) -> list[float]:
        last = len(self) - 1
        places = [percent / 100 * last for percent in percents]
        ranks = sorted({min(int(place) + step, last) for place in places for step in (0, 1)})
        value = self._values_at(ranks)
        result = []
        for place in places:
            below, above = value[int(place)], value[min(int(place) + 1, last)]
            result.append(below + (above - below) * (place - int(place)))
        return result

    def _values_at(self, ranks: list[int]) -> dict[int, float]:
        """The sample of each rank (from 0, ascending)."""
        upto = np.cumsum(self._upper_counts)
        bins = {rank: int(np.searchsorted(upto, rank, side="right")) for rank in ranks}
        tables = {upper: np.zeros(BINS, np.int64) for upper in set(bins.values())}
        for pairs in self._pieces():
            keys = _sortable(pairs["value"])
            uppers = keys >> HALF_BITS
            for upper, table in tables.items():
                here = uppers == upper
                lowers = keys[here] & (BINS - 1)
                table += np.bincount(lowers, weights=pairs["count"][here], minlength=BINS).astype(np.int64)
        result = {}
        for rank, upper in bins.items():
            before = int(upto[upper] - self._upper_counts[upper])
            lower = int(np.searchsorted(np.cumsum(tables[upper]), rank - before, side="right"))
            result[rank] = _value_of((upper << HALF_BITS) | lower)
        return result


def _sortable(values: np.ndarray) -> np.ndarray:
    """float32 as uint32 of the same order."""
    # Adding zero makes -0.0 and 0.0 one value.
    bits = (np.ascontiguousarray(values, np.float32) + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _value_of(key: int) -> float:
    bits = key & 0x7FFFFFFF if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.array([bits], np.uint32).view(np.float32)[0])
