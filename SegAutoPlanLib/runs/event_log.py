"""progress.jsonl as its readers have it: only what was appended since the last look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PROGRESS = b'"event": "progress"'
"""Stands only where the event is one: inside a JSON text the quotes would be escaped."""
REMEMBERED_BYTES = 128


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
        self.unreadable_lines = 0

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
            with open(self._path, "rb") as file:
                anew = self._is_another(file, found.st_size)
                if anew:
                    self._forget()
                file.seek(self._position)
                content = file.read()
        except FileNotFoundError:
            anew = self._position > 0
            self._unchanged = None
            self._forget()
            return [], anew
        self._unchanged = (found.st_size, found.st_mtime_ns)
        complete, newline, _ = content.rpartition(b"\n")
        complete += newline
        self._position += len(complete)
        self._before = (self._before + complete[-REMEMBERED_BYTES:])[-REMEMBERED_BYTES:]
        return self._parsed(complete.split(b"\n")), anew

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
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = None
            if isinstance(event, dict):
                events.append(event)
            else:
                self.unreadable_lines += 1
        return events
