"""One at a time: a lock on a piece of work, which names who holds it and ends with its process.

The system itself holds the lock (flock on Linux and macOS, a locked byte on Windows), so that one of a process that was
killed is free at once, and no clock or process number has to be believed. What stands in the file only tells people who
it is. On a disk that cannot lock (some network disks) work goes on without.

A lock belongs to the process that took it: programs that it starts do not inherit the open file, and a fork closes its
copy, so that no child that outlives its parent keeps others out.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .errors import FileError, StopRequested, UserInputError, in_sentences
from .files import parse_json, read_bytes
from .progress import SILENT, Reporter

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCKED_BYTE = 1 << 30
"""On Windows a locked byte cannot be read by others, so it lies beyond the text."""
CANNOT_LOCK = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, getattr(errno, "ENOTSUP", errno.EOPNOTSUPP)}
LONGEST_TEXT = 4096
LOOK_S = 0.5
MOST_ATTEMPTS = 100
"""To open a lock that others remove at the same time; where files have no fixed number, it never seems to be there."""


@dataclass(frozen=True)
class _Held:
    path: Path
    descriptor: int
    by_system: bool
    """Whether the system keeps others out; some disks cannot."""
    new_folders: tuple[Path, ...]
    """Those that were made for it, innermost first."""


_held: set[int] = set()
"""The open files of this process's locks."""


@contextlib.contextmanager
def exclusive(path: Path, work: str) -> Iterator[bool]:
    """Hold the lock while the block runs; gives whether others are really kept out, which not every disk can.

    Args:
        path: the lock's file; it is there as long as the lock is held. Folders that are missing are made, and removed
            with the lock if nothing else has come into them.
        work: what is done under it, for the sentence, e.g. `training fold 0 of …`.

    Raises:
        UserInputError: somebody holds it; the sentence says who and since when.
    """
    held = _acquire(path)
    if held is None:
        raise UserInputError(f"{work} goes on already: {holder_of(path)}; wait until it has ended, or stop it.")
    try:
        yield held.by_system
    finally:
        _release(held)


@contextlib.contextmanager
def waiting_for(path: Path, work: str, reporter: Reporter = SILENT) -> Iterator[bool]:
    """As `exclusive`, but wait for whoever holds it; the reporter is told, and asked whether to stop.

    Raises:
        StopRequested: while waiting.
    """
    told = False
    while (held := _acquire(path)) is None:
        if not told:
            reporter.event("waiting", message=f"{work} goes on already: {holder_of(path)}. Waiting until it has ended.")
            told = True
        if reporter.stop_requested():
            raise StopRequested(f"Stopped while waiting: {work} went on elsewhere.")
        time.sleep(LOOK_S)
    try:
        yield held.by_system
    finally:
        _release(held)


def holder_of(path: Path) -> str:
    """Who holds a lock, in words."""
    try:
        content: Any = parse_json(read_bytes(path, LONGEST_TEXT), path)
        pid, host, since = (str(content[name])[:100] for name in ("pid", "host", "since"))
    except (UserInputError, KeyError, TypeError):
        return f"another process holds {path}"
    return f"process {pid} on {host} has worked on it since {since}"


def _acquire(path: Path) -> _Held | None:
    """The lock, which is now ours; None if it is somebody's."""
    with in_sentences():
        new_folders = tuple(folder for folder in path.parents if not folder.exists())
        for attempt in range(MOST_ATTEMPTS):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = _open(path)
            except FileNotFoundError:
                # Another one's end removed the folder that it had made for its lock.
                if attempt + 1 == MOST_ATTEMPTS:
                    raise
                continue
            locked = _lock(descriptor)
            if locked is False:
                os.close(descriptor)
                return None
            # Whoever held it before may have removed the file between our opening and locking it.
            if _is_at(path, descriptor) or attempt + 1 == MOST_ATTEMPTS:
                break
            os.close(descriptor)
    _held.add(descriptor)
    # A full disk has no room for the name, which only others would read.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, _our_name())
    return _Held(path, descriptor, locked is True, new_folders)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileError(path, "is a pipe or a device where a lock is to be", "remove it")
    return descriptor


def _our_name() -> bytes:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}).encode()


def _is_at(path: Path, descriptor: int) -> bool:
    if sys.platform == "win32":
        # A file that is open cannot be removed there.
        return True
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> bool | None:
    """Whether the lock is ours; None where the disk cannot lock."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in CANNOT_LOCK else False
    return True


def _release(held: _Held) -> None:
    # Removed while it is held, so that nobody's next lock is removed; Windows removes no open file.
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            held.path.unlink(missing_ok=True)
    _held.discard(held.descriptor)
    os.close(held.descriptor)
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            held.path.unlink(missing_ok=True)
        for folder in held.new_folders:
            folder.rmdir()  # if nothing else has come into it


def _leave_to_parent() -> None:
    """In a fork: its copies of the open files would hold the parent's locks for as long as it lives."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
