"""What a document may say: a small declarative checker, from which the gate of each kind of file is made.

A rule is a function that takes a value and raises `Mismatch` where it does not fit. Rules are made of rules::

    CASE = record({"images": array_of(text()), "label": text()})
    require(CASE, document, path, "correct the entry")

so that a gate reads like the description of its file.
"""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import FileError

LONGEST_TEXT = 4096
LONGEST_LIST = 1_000_000
SHOWN = 60
"""Characters of a wrong value that a sentence shows."""


class Mismatch(Exception):
    """A value that does not fit its rule: where it stands in the document, and what it should be."""

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(problem, where)
        self.problem, self.where = problem, where

    def below(self, part: str) -> Mismatch:
        """The same, seen from the value that holds the wrong one."""
        return Mismatch(self.problem, f"{part}{self.where}")


Rule = Callable[[Any], None]


def require(rule: Rule, document: Any, source: Path | str, remedy: str) -> None:
    """Refuse a document that does not fit.

    Raises:
        FileError: the first thing that is wrong; `source` is the file, `remedy` what helps.
    """
    try:
        rule(document)
    except Mismatch as mismatch:
        raise FileError(source, f"{mismatch.where} {mismatch.problem}".strip(), remedy) from None


def problem_of(rule: Rule, value: Any) -> str | None:
    """What is wrong with a value, e.g. `"spacing"[0] must be a number above 0, not -1`; None if it fits."""
    try:
        rule(value)
    except Mismatch as mismatch:
        return f"{mismatch.where} {mismatch.problem}".strip()
    return None


def shown(value: Any) -> str:
    """A value for a sentence, however large or nested it is."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _SHORT.repr(value)


def nearest(word: Any, known: Iterable[str]) -> str | None:
    """The known name that a wrong one is most like, whatever its capitals; None if it is like none."""
    lowered = {name.lower(): name for name in reversed(tuple(known))}
    close = difflib.get_close_matches(str(word)[:SHOWN].lower(), lowered, n=1)
    return lowered[close[0]] if close else None


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = SHOWN
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxtuple = 2, 4, 2, 4


def whole(lowest: int | None = None, highest: int | None = None) -> Rule:
    """An integer within bounds; true and false are none."""
    wanted = f"a whole number{_bounds(lowest, highest)}"

    def check(value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not _within(value, lowest, highest):
            raise Mismatch(f"must be {wanted}, not {shown(value)}")

    return check


def number(lowest: float | None = None, highest: float | None = None, above: float | None = None) -> Rule:
    """A finite integer or float within bounds, and larger than `above`."""
    wanted = f"a number{_bounds(lowest, highest)}" + (f" above {above:g}" if above is not None else "")

    def check(value: Any) -> None:
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or (isinstance(value, float) and not math.isfinite(value))
            or not _within(value, lowest, highest)
            or (above is not None and value <= above)
            or abs(value) > 1e300
        ):
            raise Mismatch(f"must be {wanted}, not {shown(value)}")

    return check


def number_or_nan(value: Any) -> None:
    """A number that may be unknown, as nnU-Net writes means of nothing."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Mismatch(f"must be a number, not {shown(value)}")


def text(pattern: str | None = None, wanted: str = "text", longest: int = LONGEST_TEXT) -> Rule:
    """A text that matches the whole pattern, in words `wanted`."""

    def check(value: Any) -> None:
        if not isinstance(value, str) or len(value) > longest:
            raise Mismatch(f"must be {wanted}, not {shown(value)}")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise Mismatch(f"must be {wanted}, not {shown(value)}")

    return check


def flag(value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise Mismatch(f"must be true or false, not {shown(value)}")


def nothing(value: Any) -> None:
    """Null."""
    if value is not None:
        raise Mismatch(f"must be null, not {shown(value)}")


def anything(value: Any) -> None:
    """Whatever stands there: a field that is kept and never used."""


def one_of(*choices: Any) -> Rule:
    """One of some values, of the same type."""
    wanted = " or ".join(str(shown(choice)) for choice in choices)

    def check(value: Any) -> None:
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise Mismatch(f"must be {wanted}, not {shown(value)}")

    return check


def either(*rules: Rule) -> Rule:
    """What fits one of the rules; the sentence of the last one tells what is wrong."""

    def check(value: Any) -> None:
        for rule in rules[:-1]:
            try:
                rule(value)
            except Mismatch:
                continue
            return
        rules[-1](value)

    return check


def every(*rules: Rule) -> Rule:
    """What fits all of the rules."""

    def check(value: Any) -> None:
        for rule in rules:
            rule(value)

    return check


def array_of(rule: Rule, length: int | None = None, shortest: int = 0, longest: int = LONGEST_LIST) -> Rule:
    """A list (or tuple) whose items all fit."""

    def check(value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise Mismatch(f"must be a list, not {shown(value)}")
        if length is not None and len(value) != length:
            raise Mismatch(f"must have {length} entries, not {len(value)}")
        if not shortest <= len(value) <= longest:
            raise Mismatch(f"must have {shortest} to {longest} entries, not {len(value)}")
        for index, item in enumerate(value):
            try:
                rule(item)
            except Mismatch as mismatch:
                raise mismatch.below(f"[{index}]") from None

    return check


def mapping_of(rule: Rule, key: Rule | None = None, shortest: int = 0, longest: int = LONGEST_LIST) -> Rule:
    """An object of any keys whose values all fit."""

    def check(value: Any) -> None:
        if not isinstance(value, Mapping):
            raise Mismatch(f"must be an object, not {shown(value)}")
        if not shortest <= len(value) <= longest:
            raise Mismatch(f"must have {shortest} to {longest} entries, not {len(value)}")
        for name, item in value.items():
            if key is not None:
                try:
                    key(name)
                except Mismatch as mismatch:
                    raise Mismatch(f"has the key {shown(name)}, but a key {mismatch.problem}") from None
            _below(rule, name, item)

    return check


def record(
    required: Mapping[str, Rule], optional: Mapping[str, Rule] | None = None, others: Sequence[str] | None = None
) -> Rule:
    """An object with the required fields, and perhaps the optional ones.

    With `others`, only these may stand there besides; without, any may, and nobody reads them.
    """
    optional = optional or {}

    def check(value: Any) -> None:
        if not isinstance(value, Mapping):
            raise Mismatch(f"must be an object, not {shown(value)}")
        missing = [name for name in required if name not in value]
        if missing:
            raise Mismatch(f"lacks {', '.join(_quoted(name) for name in missing)}")
        for name, rule in {**required, **optional}.items():
            if name in value:
                _below(rule, name, value[name])
        if others is not None:
            unknown = [name for name in value if name not in required and name not in optional and name not in others]
            if unknown:
                raise Mismatch(f"has the entry {shown(unknown[0])}, which is unknown here")

    return check


def _below(rule: Rule, name: Any, item: Any) -> None:
    try:
        rule(item)
    except Mismatch as mismatch:
        inner = mismatch.where
        raise mismatch.below(f"{_quoted(name)}{'' if not inner or inner.startswith('[') else ' '}") from None


def _quoted(name: Any) -> str:
    short = str(name) if len(str(name)) <= SHOWN else f"{str(name)[:SHOWN]}…"
    return f'"{short}"'


def _within(value: float, lowest: float | None, highest: float | None) -> bool:
    return (lowest is None or value >= lowest) and (highest is None or value <= highest)


def _bounds(lowest: float | None, highest: float | None) -> str:
    if lowest is not None and highest is not None:
        return f" from {lowest:,} to {highest:,}"
    if lowest is not None:
        return f" from {lowest:,} on"
    return f" up to {highest:,}" if highest is not None else ""
