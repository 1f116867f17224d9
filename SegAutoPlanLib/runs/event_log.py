"""progress.jsonl as its readers have it: only what was appended since the last look."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from ..errors import UserInputError
from ..files import open_regular, parse_json

PROGRESS = b'"event": "progress"'
"""Stands only where the event is one: inside a JSON text the quotes would be escaped."""
REMEMBERED_BYTES = 128
PIECE_BYTES, PIECES_PER_LOOK = 8 << 20, 8
MOST_EVENTS_PER_LOOK, PARSED_BYTES_PER_LOOK = 100_000, 8 << 20
"""A training of 1000 epochs writes about 7 MB and 2000 events besides its progress: all is read at the first look, and
what somebody has forged can neither fill the memory (a parsed byte may take twenty) nor keep a window waiting."""
LONGEST_LINE = 4 << 20
"""An event with the result of many cases is the longest."""


class EventLog:
    """The events of one append-only file, each line read once.

    A last line that is still being written is left for the next look. A file that shrank or was replaced is read anew:
    what stood before the place that was reached must still stand there. Lines that are no JSON objects are counted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unchanged: tuple[int, int] | None = None
        self._forget()

    def _forget(self) -> None:
        self._position = 0
        self._before = b""
        self._parsed_bytes = 0
        self.unreadable_lines = 0
        self.is_read_to_end = True
        """Whether the last look left nothing for the next one."""

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """The new events, and whether they are to be taken from the beginning again.

        Of progress lines that follow each other only the last is parsed: a training writes one every two seconds, and
        each says all that the one before said.

        Raises:
            OSError: the file is there but cannot be read.
        """
        try:
            found = self._path.stat()
            if (found.st_size, found.st_mtime_ns) == self._unchanged:
                return [], False
            with open(open_regular(self._path), "rb") as file:
                anew = self._is_another(file, found.st_size)
                if anew:
                    self._forget()
                file.seek(self._position)
                events, ended = self._read_pieces(file)
        except FileNotFoundError:
            anew = self._position > 0
            self._unchanged = None
            self._forget()
            return [], anew
        # What did not fit into this look is read at the next one.
        self.is_read_to_end = ended
        self._unchanged = (found.st_size, found.st_mtime_ns) if ended else None
        return events, anew

    def _read_pieces(self, file: IO[bytes]) -> tuple[list[dict[str, Any]], bool]:
        """The next events, and whether the end of the file was reached; little is held at a time."""
        events: list[dict[str, Any]] = []
        self._parsed_bytes = 0
        for _ in range(PIECES_PER_LOOK):
            content = file.read(PIECE_BYTES)
            lines = content.split(b"\n")
            if len(lines[-1]) <= LONGEST_LINE:
                # It may still be in the making; what is longer is no event of ours and is not waited for.
                content = content[: len(content) - len(lines.pop())]
            if not content:
                return events, True
            self._position += len(content)
            file.seek(self._position)
            self._before = (self._before + content[-REMEMBERED_BYTES:])[-REMEMBERED_BYTES:]
            events += self._parsed(lines)
            if len(events) > MOST_EVENTS_PER_LOOK or self._parsed_bytes > PARSED_BYTES_PER_LOOK:
                return events, False
        return events, False

    def _is_another(self, file: Any, size: int) -> bool:
        if size < self._position:
            return True
        file.seek(self._position - len(self._before))
        return file.read(len(self._before)) != self._before

    def _parsed(self, lines: list[bytes]) -> list[dict[str, Any]]:
        events = []
        for line, following in zip(lines, [*lines[1:], b""], strict=True):
            if not line.strip() or (PROGRESS in line and PROGRESS in following):
                continue
            self._parsed_bytes += len(line)
            try:
                event = parse_json(line, self._path) if len(line) <= LONGEST_LINE else None
            except UserInputError:
                event = None
            if isinstance(event, dict):
                events.append(event)
            else:
                self.unreadable_lines += 1
        return events
