"""What changed below a folder: a digest of everything before, another after, and the difference."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

DIGESTED_BYTES = 1 << 22
"""Of larger files only the size and the times are compared."""

Snapshot = Mapping[str, tuple[str, ...]]
"""By path relative to the folder: the kind of the entry, and what tells its content."""


@dataclass(frozen=True)
class Changes:
    """Paths relative to the watched folder."""

    made: tuple[str, ...]
    altered: tuple[str, ...]
    removed: tuple[str, ...]


def snapshot(folder: Path) -> Snapshot:
    """Every entry below the folder; links are not followed, and what is no file is never opened."""
    found: dict[str, tuple[str, ...]] = {}
    pending = [str(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                found[os.path.relpath(entry.path, folder)] = _told(entry)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return found


def changes_between(before: Snapshot, after: Snapshot, allowed: Iterable[str] = ()) -> Changes:
    """What is new, other or gone, but for what lies at or below one of the `allowed` relative paths."""
    places = tuple(allowed)

    def counts(path: str) -> bool:
        return not any(path == place or path.startswith(place + os.sep) for place in places)

    shared = before.keys() & after.keys()
    return Changes(
        made=tuple(sorted(filter(counts, after.keys() - before.keys()))),
        altered=tuple(sorted(path for path in shared if before[path] != after[path] and counts(path))),
        removed=tuple(sorted(filter(counts, before.keys() - after.keys()))),
    )


def _told(entry: os.DirEntry[str]) -> tuple[str, ...]:
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return "link", os.readlink(entry.path)
    if stat.S_ISDIR(status.st_mode):
        return ("folder",)
    if not stat.S_ISREG(status.st_mode):
        return ("special",)
    if status.st_size > DIGESTED_BYTES:
        return "file", str(status.st_size), str(status.st_mtime_ns)
    with open(entry.path, "rb") as file:
        return "file", hashlib.blake2b(file.read()).hexdigest()
