"""Opening image files: ordinary files only, and the operating system's refusals as sentences."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import SYSTEM_PROBLEMS, FileError
from ..files import open_regular


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """An ordinary file to read from, and how many bytes it has.

    Raises:
        FileError: the file is missing, is a folder, pipe or device, or the system refuses to read it.
    """
    try:
        descriptor = open_regular(path)
        with open(descriptor, "rb") as stream:
            yield stream, os.fstat(descriptor).st_size
    except FileNotFoundError:
        raise FileError(path, "the file is missing", "add it, or remove the case from the dataset") from None
    except OSError as error:
        unknown = f"the system refuses to read it ({error.strerror})", "check the path and the disk"
        # Not `sentence_of`: a report of all problems wants the parts.
        raise FileError(path, *SYSTEM_PROBLEMS.get(error.errno, unknown)) from error


def read_whole(path: Path, most_bytes: int | None = None) -> bytes:
    """The bytes of an ordinary file; only its first ones where it has more than `most_bytes`.

    Raises:
        FileError: as for `opened`.
    """
    with opened(path) as (stream, size):
        return stream.read(size if most_bytes is None else min(size, most_bytes))
