"""The tally: families by verdicts, and every case that was not fended off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .verdict import Judged, Verdict


def table_of(judged: Sequence[Judged]) -> str:
    """A line per family, a column per verdict that occurs."""
    counts = Counter((one.attack.family, one.verdict) for one in judged)
    families = sorted({family for family, _ in counts})
    verdicts = [verdict for verdict in Verdict if verdict.is_good or any(counts[f, verdict] for f in families)]
    header = ["family", "cases", *(verdict.value for verdict in verdicts)]
    rows = [_row(family, [counts[family, verdict] for verdict in verdicts]) for family in families]
    totals = _row("all", [sum(counts[family, verdict] for family in families) for verdict in verdicts])
    return _laid_out([header, *rows, totals])


def failures_of(judged: Iterable[Judged]) -> list[str]:
    """A line per case that was not fended off."""
    bad = [one for one in judged if not one.verdict.is_good]
    order = list(Verdict)
    bad.sort(key=lambda one: (order.index(one.verdict), one.attack.identity))
    return [f"{one.verdict.value:<14} {one.attack.identity}: {one.words[:400]}" for one in bad]


def _row(name: str, numbers: Sequence[int]) -> list[str]:
    return [name, str(sum(numbers)), *(str(number) if number else "." for number in numbers)]


def _laid_out(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
