"""Names of one dataset found among those of another: channels, classes. Case and outer blanks do not matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def match_names(wanted: Sequence[str], known: Sequence[str]) -> tuple[int | None, ...]:
    """The place of each wanted name among the known ones, None where it is not.

    Of names that occur several times the first stands for the first, the second for the second.
    """
    places = {key: place for place, key in enumerate(_numbered(known))}
    return tuple(places.get(key) for key in _numbered(wanted))


def pair_channels(wanted: Sequence[str], known: Sequence[str]) -> tuple[int | None, ...]:
    """The place of each wanted channel among the known ones, None where it is new.

    If there are as many as before, those that are called otherwise follow in order, which is nnU-Net's rule.
    """
    matched = match_names(wanted, known)
    if len(wanted) != len(known):
        return matched
    unused = iter([place for place in range(len(known)) if place not in matched])
    return tuple(next(unused) if place is None else place for place in matched)


def is_same_name(one: str, other: str) -> bool:
    """Whether two names stand for the same."""
    return match_names([one], [other]) == (0,)


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    keys = []
    for name in (name.strip().casefold() for name in names):
        keys.append((name, seen[name]))
        seen[name] += 1
    return keys
