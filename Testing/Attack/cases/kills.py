"""Killed at any moment, and twice at once: the same command then succeeds, and gives what it always gives."""

from __future__ import annotations

from collections.abc import Iterator

from ..attack import Attack, Expected
from ..victim import HAS_FORK

FAMILY = "kill"
SECONDS = {"fingerprint": 0.15, "plan": 0.4, "preprocess": 0.25, "train": 1.2, "resume": 0.7, "predict": 0.2,
           "continue": 0.2, "evaluate": 0.15, "import decathlon": 0.15, "import nnunet-v1": 0.12,
           "import pairs": 0.2}  # fmt: skip
"""How long each takes about, in the sound place."""
TIMES = 12
TWICE = ("plan", "preprocess", "train", "predict", "evaluate", "import decathlon", "fingerprint")


def attacks() -> Iterator[Attack]:
    for verb, seconds in SECONDS.items():
        for number in range(TIMES):
            yield _of(verb, f"at-moment-{number}", "killed", seconds)
    for verb in TWICE if HAS_FORK else ():  # where there is none, nobody can be held still either
        for number in range(6):
            yield _of(verb, f"twice-{number}", "twice", SECONDS[verb])


def _of(verb: str, name: str, drama: str, seconds: float) -> Attack:
    limits = {"seconds_before_kill": seconds, "seconds": 30.0}
    # An import that had been finished before the kill has taken the number.
    alone = drama == "killed" and not verb.startswith("import")
    expected = Expected.HARMLESS if alone else Expected.REFUSED_OR_EQUAL
    return Attack(FAMILY, name, verb, (), expected, limits=limits, drama=drama, hostile=False)
