"""What is said of an attack: whether it was fended off, and if not, what it did."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .attack import Attack, Expected
from .place import OUTSIDE, Place
from .victim import Ending
from .watch import Changes

PREFIX = "segautoplan: "
USAGE_ERROR = re.compile(r": error: (.+)")
REMEDY = re.compile(r";|\bmust\b|\bneither\b")
"""Behind the semicolon stands what helps; and what something must be says what it is to become."""
LONGEST_SENTENCE = 2000
GROWN_MB = 1000
"""More than this for a dataset of 16³ voxels is growth without a bound."""
EXECUTED = "executed"
"""Code of a stranger leaves a file of this name outside."""
LEFTOVER = re.compile(r"(^|/)\.(writing|importing|former)_")


ACCEPTED_WRONGLY: dict[Expected, Callable[[bool], str]] = {
    Expected.REFUSED: lambda equal: "without a word",
    Expected.HARMLESS: lambda equal: "" if equal else "with another result",
    Expected.REFUSED_OR_EQUAL: lambda equal: "" if equal else "with another result",
    Expected.REFUSED_OR_OBEYED: lambda equal: "and ignored" if equal else "",
    Expected.ANSWERED: lambda equal: "",
}
"""Why success is a failure there, given whether the result equals the sound place's; empty where it is fine."""


class Verdict(enum.Enum):
    """The first two are good."""

    REFUSED = "refused"
    EQUAL = "equal"
    EXECUTED = "EXECUTED"
    WROTE_OUTSIDE = "WROTE-OUTSIDE"
    DELETED = "DELETED"
    KILLED_ANOTHER = "KILLED-ANOTHER"
    HANG = "HANG"
    MEMORY = "MEMORY"
    TRACEBACK = "TRACEBACK"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    """Something harmless was refused."""
    NOT_NAMED = "NOT-NAMED"
    GARBLED = "GARBLED"
    """No single readable sentence: none, several, endless, or with control characters."""
    NO_REMEDY = "NO-REMEDY"
    """It says what is wrong, and not what helps."""
    LEFTOVERS = "LEFTOVERS"
    BROKEN = "BROKEN"
    """The suite itself failed."""

    @property
    def is_good(self) -> bool:
        return self in (Verdict.REFUSED, Verdict.EQUAL)


@dataclass(frozen=True)
class Judged:
    """An attack, its verdict, and the words that go with it."""

    attack: Attack
    verdict: Verdict
    words: str
    seconds: float


@dataclass(frozen=True)
class Evidence:
    """All that was seen."""

    ending: Ending
    changes: Changes
    """Outside of what the verb may write."""
    leftovers: tuple[str, ...]
    """Temporary files, wherever they are."""
    bystander_lives: bool
    equals_sound: bool


def judge(attack: Attack, place: Place, seen: Evidence) -> tuple[Verdict, str]:
    """The worst that can be said, and why."""
    ending = seen.ending
    words = sentence_of(ending)
    for verdict, reason in (
        (Verdict.EXECUTED, _joined(p for p in (*seen.changes.made, *seen.changes.altered) if EXECUTED in p)),
        (Verdict.KILLED_ANOTHER, "" if seen.bystander_lives else "another process was ended"),
        (Verdict.DELETED, _joined(seen.changes.removed)),
        (Verdict.WROTE_OUTSIDE, _joined((*seen.changes.made, *seen.changes.altered))),
        (Verdict.HANG, f"still running after {ending.seconds:.0f} s" if ending.code is None else ""),
        (Verdict.MEMORY, _memory(ending)),
        (Verdict.TRACEBACK, _crash(ending)),
        (Verdict.LEFTOVERS, _joined(seen.leftovers)),
    ):
        if reason:
            return verdict, reason
    return _judge_answer(attack, place, seen, words)


def _judge_answer(attack: Attack, place: Place, seen: Evidence, words: str) -> tuple[Verdict, str]:
    if seen.ending.code == 0:
        if reason := ACCEPTED_WRONGLY[attack.expected](seen.equals_sound):
            return Verdict.ACCEPTED, reason
        return Verdict.EQUAL, ""
    if attack.expected is Expected.HARMLESS:
        return Verdict.REJECTED, words
    if problem := _unreadable(seen.ending, words):
        return Verdict.GARBLED, f"{problem}: {words[:300]!r}"
    is_table = bool(words) and words == seen.ending.output.strip()
    if attack.named and not any(_is_named(place.named(name), words, is_table) for name in attack.named):
        return Verdict.NOT_NAMED, f"{words}  (wanted: {' or '.join(attack.named)})"
    if PREFIX in seen.ending.errors and not REMEDY.search(words):
        return Verdict.NO_REMEDY, words
    return Verdict.REFUSED, words


def sentence_of(ending: Ending) -> str:
    """What it said about its refusal: the sentence, the parser's complaint, or the report of `check`."""
    said = [line.removeprefix(PREFIX) for line in ending.errors.splitlines() if line.startswith(PREFIX)]
    said = said or USAGE_ERROR.findall(ending.errors)
    return "\n".join(said) if said else ending.output.strip()


def _is_named(name: str, words: str, is_table: bool) -> bool:
    """Whether it is there; of a path, folder and own name may stand apart, and a table names files without folders."""
    folder, _, own = name.rpartition(os.sep)
    return name in words or (bool(folder) and (is_table or folder in words) and own in words)


def _unreadable(ending: Ending, words: str) -> str:
    if not words:
        return "says nothing"
    lines = ending.errors.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(PREFIX)]
    if len(starts) > 1:
        return "says it more than once"
    if ending.output.strip() and words == ending.output.strip():
        return ""  # the table of `check`
    if len(words) > LONGEST_SENTENCE:
        return f"{len(words)} characters long"
    if any(not character.isprintable() for character in words):
        return "holds control characters"
    return "goes over several lines" if starts and starts[0] < len(lines) - 1 else ""


def _memory(ending: Ending) -> str:
    if re.search(r"^(numpy\.\S*)?MemoryError|bad_alloc|^RuntimeError: .*(alloc|memory)", ending.errors, re.M):
        return _last_line(ending.errors)
    return f"grew by {ending.grown_mb:.0f} MB" if ending.grown_mb > GROWN_MB else ""


def _crash(ending: Ending) -> str:
    if ending.code in (0, 2) and "Traceback (most recent call last)" not in ending.errors:
        return ""
    return f"exit code {ending.code}: {_last_line(ending.errors)}"


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if not line.startswith(" ")]
    return lines[-1][:300] if lines else ""


def _joined(paths: Sequence[str] | object) -> str:
    found = list(paths)
    shown = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    return shown.replace(OUTSIDE + os.sep, f"{OUTSIDE}/")
