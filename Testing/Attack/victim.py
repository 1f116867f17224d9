"""The child process in which an attack happens: its limits, its streams, its surroundings.

It is forked from a process that has imported the engine once. Where there is no fork (Windows) it is started anew,
which takes seconds instead of milliseconds, and without limits of memory: the tally says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .privileges import end_with_parent, obey_permissions
from .small_disk import small_disk_at

HAS_FORK = hasattr(os, "fork")
MEGABYTE = 1 << 20
STREAM_BYTES = 200_000
"""So much of what it says is kept."""


@dataclass(frozen=True)
class Limits:
    """What one child may use."""

    seconds: float = 20.0
    memory_mb: int = 3000
    """Of address space, beside what the process had when it began."""
    file_mb: float = 300
    """Size of a file that it writes."""
    seconds_before_kill: float = 1.0
    """At most; where the drama has a kill or an interruption."""
    full_disk: str = ""
    """A folder that lies on a disk of its own, of `disk_kb`; where that cannot be had, no file may become larger."""
    disk_kb: float = 16
    obeys_permissions: bool = False
    """Root gives up its rights over all files first."""


@dataclass(frozen=True)
class Ending:
    """How it ended and what it said."""

    code: int | None
    """None: it was still running when its time was over; negative: the signal that ended it."""
    output: str
    errors: str
    grown_mb: float
    """By how much its resident memory grew."""
    seconds: float


@dataclass(frozen=True)
class Order:
    """What the child does."""

    action: str
    """A row of `actions.ACTIONS`."""
    arguments: tuple[str, ...]
    folder: str
    environment: tuple[tuple[str, str], ...] = ()


class Victim:
    """A running child."""

    def __init__(self, order: Order, limits: Limits) -> None:
        self._limits = limits
        self._started = time.monotonic()
        self._usual_mb = _status_mb("VmRSS")
        self._code: int | None = None
        self._ended: Ending | None = None
        self._peak_mb = 0.0
        self._said = (bytearray(), bytearray())
        # Pipes, because a limit to the size of files would also hold for files that its streams go to.
        self._reading, writing = zip(*(os.pipe() for _ in range(2)), strict=True)
        self._begin(order, writing)
        for end in writing:
            os.close(end)

    def _begin(self, order: Order, writing: tuple[int, ...]) -> None:
        if not HAS_FORK:
            command = [sys.executable, "-m", __name__, json.dumps(asdict(order))]
            self._process = subprocess.Popen(command, stdout=writing[0], stderr=writing[1], stdin=subprocess.DEVNULL)
            self.pid = self._process.pid
            # A pipe cannot be looked into there without waiting.
            self._readers = [
                threading.Thread(target=_read_all, args=pair, daemon=True)
                for pair in zip(self._reading, self._said, strict=True)
            ]
            for reader in self._readers:
                reader.start()
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _live(order, self._limits, writing)
        for end in self._reading:
            os.set_blocking(end, False)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def has_ended(self) -> bool:
        """Whether it is over by now."""
        if self._code is not None:
            return True
        if not HAS_FORK:
            self._code = self._process.poll()
            return self._code is not None
        self._listen()
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self._code = os.waitstatus_to_exitcode(status)
            self._peak_mb = usage.ru_maxrss / (1024 if sys.platform != "darwin" else MEGABYTE)
        return bool(pid)

    def _listen(self) -> None:
        for end, said in zip(self._reading, self._said, strict=True):
            with contextlib.suppress(BlockingIOError):
                while more := os.read(end, STREAM_BYTES):
                    said += more
                    del said[:-STREAM_BYTES]

    def signal(self, number: int) -> None:
        """Send it and its children a signal, if it still lives."""
        if self.has_ended():
            return
        if not HAS_FORK:
            self._process.send_signal(number)
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # so young that it has no group of its own yet
            os.kill(self.pid, number)

    def wait(self, until: Callable[[], bool] = lambda: False) -> Ending | None:
        """Wait for its end, at most as long as it may take; None if `until` came true before."""
        while not self.has_ended():
            if until():
                return None
            if self.seconds > self._limits.seconds:
                return self.end(None)
            time.sleep(0.002)
        return self._ending(self._code)

    def end(self, code: int | None) -> Ending:
        """Kill it and what it has started."""
        self.signal(signal.SIGKILL if HAS_FORK else signal.SIGTERM)
        while not self.has_ended():
            time.sleep(0.002)
        return self._ending(code)

    def _ending(self, code: int | None) -> Ending:
        if self._ended is None:
            self._ended = self._last_words(code)
        return self._ended

    def _last_words(self, code: int | None) -> Ending:
        if HAS_FORK:
            self._listen()
        else:
            for reader in self._readers:
                reader.join(1)
        seconds = self.seconds
        for end in self._reading:
            with contextlib.suppress(OSError):
                os.close(end)
        output, errors = (bytes(said).decode("utf-8", errors="replace") for said in self._said)
        return Ending(code, output, errors, self._peak_mb - self._usual_mb, seconds)


def _read_all(end: int, said: bytearray) -> None:
    with contextlib.suppress(OSError):
        while more := os.read(end, STREAM_BYTES):
            said += more
            del said[:-STREAM_BYTES]


def _live(order: Order, limits: Limits, writing: tuple[int, ...]) -> None:
    code = 1
    try:
        os.setsid()
        end_with_parent()
        with open(os.devnull, "rb") as nothing:
            for stream, number in ((nothing.fileno(), 0), (writing[0], 1), (writing[1], 2)):
                os.dup2(stream, number)
        # Whoever forked this may have put something of its own in their place, as pytest does.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
        _restrict(limits)
        code = carry_out(order)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - what the program did not catch is what we want to see
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def carry_out(order: Order) -> int:
    """Do what was ordered, here and now."""
    from .actions import ACTIONS

    os.environ.update(dict(order.environment))
    os.chdir(order.folder)
    return ACTIONS[order.action](list(order.arguments))


def _restrict(limits: Limits) -> None:
    import resource

    if mapped := _status_mb("VmSize"):  # known on Linux; elsewhere only the growth is looked at
        space = int(mapped + limits.memory_mb) * MEGABYTE
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    size = int(limits.file_mb * MEGABYTE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if limits.full_disk and not small_disk_at(limits.full_disk, limits.disk_kb):
        size = int(limits.disk_kb * 1024)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if limits.obeys_permissions:
        obey_permissions()


def _status_mb(key: str) -> float:
    """A line of /proc/self/status; 0 where there is none."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0.0
    lines: Mapping[str, str] = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines[key].split()[0]) / 1024


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    pairs = tuple((name, value) for name, value in given.pop("environment"))
    sys.exit(carry_out(Order(**{**given, "arguments": tuple(given.pop("arguments")), "environment": pairs})))
