"""The worker's side of a run folder: what it says goes into progress.jsonl, what it is asked comes from STOP."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UserInputError, sentence_of
from ..files import write_json
from ..progress import ConsoleReporter, Reporter
from .processes import ProcessIdentity
from .run_files import PROGRESS_FILE, RUN_FILE, read_object, stop_requested

HEARTBEAT_S = 5.0
"""A worker touches its progress file at least this often."""


def utc_now() -> str:
    """The time as events have it: ISO 8601, UTC, milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def append_event(folder: Path, event: str, /, **fields: Any) -> None:
    """Add one line to a run's progress.jsonl."""
    line = json.dumps({"time": utc_now(), "event": event, **fields}, ensure_ascii=False)
    with open(folder / PROGRESS_FILE, "a", encoding="utf-8") as file:
        file.write(line + "\n")


class RunReporter(Reporter):
    """Writes events to a run folder and to the log, and keeps a heartbeat while it is open.

    Use as a context: an exception that leaves it is a `failed` event. Otherwise the last event must be `finished`,
    `stopped` or `failed`, and `close` writes the exit code into run.json.
    """

    def __init__(self, folder: Path | str, arguments: list[str]) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._console = ConsoleReporter(sys.stdout)
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._may_be_cut = True
        """Whether the last line may be half of one: a worker was killed, or the disk was full, while it was written."""
        asked, _ = read_object(self._folder / RUN_FILE)
        self._description = {
            **(asked or {"arguments": arguments}),
            # Written by the worker itself: the process that was started may only be a launcher.
            **ProcessIdentity.of(os.getpid(), str(folder)).to_json(),
            "started": utc_now(),
            "versions": {"segautoplan": __version__, "python": platform.python_version()},
            "exit": None,
        }

    def __enter__(self) -> RunReporter:
        write_json(self._folder / RUN_FILE, self._description)
        self.event("started", pid=os.getpid())
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._end.set()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.event("stopped", message="It was ended at once; what had not been saved is lost.")
            self.close(1)
        elif kind is not None and not issubclass(kind, SystemExit):
            self.event("failed", message=_in_a_sentence(kind, error), hint=_hint(error))
            self.close(1)

    def event(self, event: str, /, **fields: Any) -> None:
        # A full disk must not end the work by what is said about it: its results may go elsewhere, and what cannot be
        # written of them is told by whoever writes them.
        with self._lock, contextlib.suppress(OSError):
            if self._may_be_cut:
                self._end_half_line()
            self._may_be_cut = True
            append_event(self._folder, event, **fields)
            self._may_be_cut = False
        with contextlib.suppress(OSError):
            self._console.event(event, **fields)

    def stop_requested(self) -> bool:
        return stop_requested(self._folder)

    def close(self, exit_code: int) -> None:
        """Write how it ended into run.json."""
        # Where it cannot be written, a viewer finds no process and says so.
        with contextlib.suppress(UserInputError):
            write_json(self._folder / RUN_FILE, {**self._description, "ended": utc_now(), "exit": exit_code})

    def _end_half_line(self) -> None:
        # What follows must not be lost with it.
        with open(self._folder / PROGRESS_FILE, "ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_S):
            now = time.time()
            # A beat that is missed (a network's disk) is no reason to miss all others.
            with contextlib.suppress(OSError):
                os.utime(self._folder / PROGRESS_FILE, (now, now))


def _in_a_sentence(kind: type[BaseException], error: BaseException | None) -> str:
    known = sentence_of(error) if error is not None else None
    if known is not None:
        return known
    text = str(error).strip().splitlines()
    return f"{kind.__name__}: {text[0]}" if text else kind.__name__


def _hint(error: BaseException | None) -> str:
    known = error is not None and sentence_of(error) is not None
    return "" if known else "This is a mistake of the program; please report it with the log."
