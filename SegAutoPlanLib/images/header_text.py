"""Numbers in the text headers of NRRD and MetaImage."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileError
from .header_promise import CORRECT_HEADER

LONGEST_NUMBER = 400
MOST_NUMBERS = 64


def floats(text: str, path: Path, separator: str | None = None) -> list[float]:
    """The numbers of a field; NaN and infinity are left to whoever needs them.

    Raises:
        FileError: something else stands there.
    """
    return _numbers(float, text, path, separator)


def whole_numbers(text: str, path: Path, count: int) -> tuple[int, ...]:
    """So many whole numbers.

    Raises:
        FileError: something else stands there.
    """
    values = _numbers(int, text, path, None)
    if len(values) != count:
        raise _unreadable(text, path)
    return tuple(values)


def _numbers(kind: type, text: str, path: Path, separator: str | None) -> list:
    words = text.split(separator) if text.strip() else []
    if len(words) > MOST_NUMBERS or any(len(word) > LONGEST_NUMBER for word in words):
        raise _unreadable(text, path)
    try:
        return [kind(word) for word in words]
    except (ValueError, OverflowError):
        raise _unreadable(text, path) from None


def _unreadable(text: str, path: Path) -> FileError:
    return FileError(path, f'its header has "{text[:60]}" where numbers should be', CORRECT_HEADER)
