"""Inflating gzip with a limit: a file of a few megabytes can hold gigabytes of zeros."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import FileError
from .header_promise import COPY_AGAIN, CUT_SHORT, most_bytes, require_few_left_over

GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 20


def inflated_start(beginning: bytes, count: int) -> bytes:
    """The first `count` bytes of what a gzip stream holds; fewer where the beginning has no more, or is damaged."""
    try:
        return zlib.decompressobj(wbits=31).decompress(beginning, count)
    except zlib.error:
        return b""


def inflate(content: bytes, promised: int, path: Path) -> bytes:
    """What a gzip file holds, its checksums verified.

    Raises:
        FileError: it is cut short, damaged, or holds much more than was promised.
    """
    stream = zlib.decompressobj(wbits=31)
    try:
        inflated = stream.decompress(content, most_bytes(promised) + 1)
        if stream.eof and not stream.unused_data:
            require_few_left_over(len(inflated), promised, path)
            return inflated
    except zlib.error as error:
        raise damaged(path, error) from error
    return b"".join(inflated_parts(_Bytes(content), promised, path))


def inflated_parts(source: BinaryIO, promised: int, path: Path) -> Iterator[bytes]:
    """The same, piece by piece; members that follow each other are one content, as gzip has it.

    Raises:
        FileError: as for `inflate`.
    """
    total = 0
    stream, rest = zlib.decompressobj(wbits=31), b""
    begun = False
    try:
        while True:
            chunk = rest or source.read(CHUNK_BYTES)
            if not chunk:
                break
            begun = True
            part = stream.decompress(chunk, CHUNK_BYTES)
            total += len(part)
            require_few_left_over(total, promised, path)
            yield part
            rest = stream.unconsumed_tail
            if stream.eof:
                rest = _after_padding(stream.unused_data, source)
                if not rest:
                    return
                stream = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise damaged(path, error) from error
    if not begun or not stream.eof:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)


def damaged(path: Path, error: zlib.error) -> FileError:
    """The refusal of a stream that cannot be inflated, or whose checksum is another."""
    return FileError(path, f"is damaged ({error})", COPY_AGAIN)


class _Bytes:
    """Bytes that are read like a file, without a copy of them all."""

    def __init__(self, content: bytes) -> None:
        self._view, self._at = memoryview(content), 0

    def read(self, count: int) -> bytes:
        part = bytes(self._view[self._at : self._at + count])
        self._at += len(part)
        return part


def _after_padding(unused: bytes, source: BinaryIO) -> bytes:
    """What follows a member: gzip allows zeros there."""
    while True:
        rest = unused.lstrip(b"\0")
        if rest:
            return rest
        unused = source.read(CHUNK_BYTES)
        if not unused:
            return b""
