"""One at a time: a lock on a piece of work, which names who holds it and ends with its process.

The system itself holds the lock (flock on Linux and macOS, a locked byte on Windows), so that one of a process that was
killed is free at once, and no clock or process number has to be believed. What stands in the file only tells people who
it is. On a disk that cannot lock (some network disks) work goes on without.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from .errors import StopRequested, UserInputError, in_sentences
from .files import parse_json
from .progress import SILENT, Reporter

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCKED_BYTE = 1 << 30
"""On Windows a locked byte cannot be read by others, so it lies beyond the text."""
CANNOT_LOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
LONGEST_TEXT = 4096
LOOK_S = 0.5


@contextlib.contextmanager
def exclusive(path: Path, work: str) -> Iterator[None]:
    """Hold the lock while the block runs.

    Args:
        path: the lock's file; it is there as long as the lock is held.
        work: what is done under it, for the sentence, e.g. `training fold 0 of …`.

    Raises:
        UserInputError: somebody holds it; the sentence says who and since when.
    """
    descriptor = _acquire(path)
    if descriptor is None:
        raise UserInputError(f"{work} goes on already: {holder_of(path)}; wait until it has ended, or stop it.")
    try:
        yield
    finally:
        _release(path, descriptor)


@contextlib.contextmanager
def waiting_for(path: Path, work: str, reporter: Reporter = SILENT) -> Iterator[None]:
    """As `exclusive`, but wait for whoever holds it; the reporter is told, and asked whether to stop.

    Raises:
        StopRequested: while waiting.
    """
    told = False
    while (descriptor := _acquire(path)) is None:
        if not told:
            reporter.event("waiting", message=f"{work} goes on already: {holder_of(path)}. Waiting until it has ended.")
            told = True
        if reporter.stop_requested():
            raise StopRequested(f"Stopped while waiting: {work} went on elsewhere.")
        time.sleep(LOOK_S)
    try:
        yield
    finally:
        _release(path, descriptor)


def holder_of(path: Path) -> str:
    """Who holds a lock, in words."""
    try:
        content: Any = parse_json(path.read_bytes()[:LONGEST_TEXT], path)
        pid, host, since = (str(content[name])[:100] for name in ("pid", "host", "since"))
    except (OSError, UserInputError, KeyError, TypeError):
        return f"another process holds {path}"
    return f"process {pid} on {host} has worked on it since {since}"


def _acquire(path: Path) -> int | None:
    """The open file of the lock that is now ours; None if it is somebody's."""
    with in_sentences():
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
            if not _lock(descriptor):
                os.close(descriptor)
                return None
            # Whoever held it before may have removed the file between our opening and locking it.
            if _is_at(path, descriptor):
                break
            os.close(descriptor)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, _our_name())
    return descriptor


def _our_name() -> bytes:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}).encode()


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in CANNOT_LOCK
    return True


def _release(path: Path, descriptor: int) -> None:
    # Removed while it is held, so that nobody's next lock is removed; Windows removes no open file.
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    os.close(descriptor)
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
