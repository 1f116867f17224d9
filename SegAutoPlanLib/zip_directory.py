"""The directory of a zip archive, read without believing how large it says it is."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable
from typing import BinaryIO

MAX_DIRECTORY_BYTES = 16 << 20
"""Of 100,000 records."""
ENCRYPTED = 0x1
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
"""What stands before each record: signature, five fields, CRC, two sizes, lengths of name and of extra fields."""
DAMAGED = (
    zipfile.BadZipFile,  # no directory, or one that contradicts itself
    struct.error,  # a header that is cut off
    ValueError,  # a negative place; UnicodeDecodeError, too
    OverflowError,  # a place that no file has
    NotImplementedError,  # a version of the format that is not known
    EOFError,
)
"""What `zipfile` raises over directories that are damaged."""


class DirectorySizedFile(io.RawIOBase):
    """A file from which no more is read at once than a directory can have: `zipfile` believes what the end says.

    Args:
        file: an open one that can be sought in; it is closed with this.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("the directory is too large")
        return self._file.read(-1 if size is None else size)

    def readinto(self, buffer: memoryview) -> int:
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


def overlapping(records: Iterable[zipfile.ZipInfo], end: int) -> str | None:
    """What is wrong with the places of records, which lie side by side before the directory that begins at `end`."""
    reached = 0
    for record in sorted(records, key=lambda record: (record.header_offset, record.compress_size)):
        if record.header_offset < reached:
            return "its records lie over each other"
        reached = record.header_offset + LOCAL_HEADER.size + record.compress_size
        if reached > end:
            return "its records reach beyond the file"
    return None
