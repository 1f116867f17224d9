"""What `predict` has written into a folder, so that later it knows its own files from somebody else's.

A record is append-only, one JSON object per line. It has one writer, who adds a line before the file takes its place.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import FileError, in_sentences
from ..files import MAX_JSON_BYTES, open_regular, parse_json, read_bytes
from ..schema import problem_of, record, text, whole

CHUNK_BYTES = 1 << 20
LINE = record({"name": text(), "size": whole(0), "mtime_ns": whole(), "sha256": text("[0-9a-f]{64}")})


@dataclass(frozen=True)
class Written:
    """A file as it was written."""

    name: str
    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Written:
        status = os.stat(path)
        return cls(path.name, status.st_size, status.st_mtime_ns, digest_of(path))

    def is_still(self, path: Path, status: os.stat_result, thoroughly: bool) -> bool:
        """Whether the file is that one; `thoroughly` compares the content even where size and time are the same."""
        if status.st_size != self.size:
            return False
        # A copy of the folder has other times.
        return (status.st_mtime_ns == self.mtime_ns and not thoroughly) or digest_of(path) == self.sha256


def read_record(path: Path) -> Iterator[Written]:
    """What a record says; lines that were cut short by a kill or a full disk say nothing."""
    if not os.path.lexists(path):
        return
    for line in read_bytes(path, MAX_JSON_BYTES).splitlines():
        try:
            content = parse_json(line, path)
        except FileError:
            continue
        if problem_of(LINE, content) is None:
            yield Written(**{name: content[name] for name in ("name", "size", "mtime_ns", "sha256")})


def append_to_record(path: Path, written: Written) -> None:
    """Add a line.

    Raises:
        UserInputError: the disk is full, or the system refuses.
    """
    # The line feed first: what a kill left of the line before must not spoil this one.
    line = b"\n" + json.dumps(asdict(written)).encode() + b"\n"
    with in_sentences(path), open(path, "ab") as file:
        file.write(line)


def digest_of(path: Path) -> str:
    """Of a file's content; empty where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(open_regular(path), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except (OSError, FileError):
        return ""
    return digest.hexdigest()
