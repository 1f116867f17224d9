"""A file in an archive that can be sought in, though it can only be inflated from its beginning on."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

HEAD_BYTES = 4 << 20
"""What a checkpoint says stands at its beginning,"""
TAIL_BYTES = 1 << 20
"""and its directory at the end."""


class MemberFile(io.RawIOBase):
    """Reads anywhere in a file that comes in pieces from its beginning.

    The head and the tail are kept once they were seen, so that a checkpoint, of which nothing else is looked at, is
    inflated once; a place between them, where it lies before the last one read, is reached by beginning again.

    Args:
        size: of the file, in bytes.
        chunks: gives its pieces from the beginning.
    """

    def __init__(self, size: int, chunks: Callable[[], Iterator[bytes]]) -> None:
        super().__init__()
        self._size, self._chunks = size, chunks
        self._place = 0
        self._coming: Iterator[bytes] = iter(())
        self._piece, self._piece_start = b"", size
        self._head, self._tail = bytearray(), bytearray()
        self._tail_start = max(0, size - TAIL_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a negative place")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: memoryview) -> int:
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        content = self._content_at(self._place, wanted)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def _content_at(self, place: int, wanted: int) -> bytes | bytearray:
        """Some of the bytes from there on."""
        if place < len(self._head):
            return self._head[place : place + wanted]
        if place >= self._tail_start and self._tail_start + len(self._tail) == self._size:
            return self._tail[place - self._tail_start :][:wanted]
        if place < self._piece_start:
            self._coming, self._piece, self._piece_start = self._chunks(), b"", 0
        while place >= self._piece_start + len(self._piece):
            self._piece_start += len(self._piece)
            self._piece = next(self._coming, b"")
            if not self._piece:
                raise EOFError("it ends early")
            self._keep()
        return self._piece[place - self._piece_start :][:wanted]

    def _keep(self) -> None:
        if self._piece_start == len(self._head) < HEAD_BYTES:
            self._head += self._piece[: HEAD_BYTES - len(self._head)]
        # Where the tail goes on from what is kept of it.
        missing = self._tail_start + len(self._tail) - self._piece_start
        if 0 <= missing < len(self._piece):
            self._tail += self._piece[missing:]
