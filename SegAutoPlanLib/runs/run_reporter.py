"""The worker's side of a run folder: what it says goes into progress.jsonl, what it is asked comes from STOP."""

from __future__ import annotations

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
from ..files import read_json, write_json
from ..progress import ConsoleReporter, Reporter
from .run_folder import HEARTBEAT_S, PROGRESS_FILE, RUN_FILE, STOP_FILE


def utc_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class RunReporter(Reporter):
    """Writes events to a run folder and to the log, and keeps a heartbeat while it is open.

    Use as a context: leaving it writes the exit into run.json. The last event must be `finished`, `stopped` or
    `failed`.
    """

    def __init__(self, folder: Path | str, arguments: list[str]) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._console = ConsoleReporter(sys.stdout)
        self._lock = threading.Lock()
        self._end = threading.Event()
        run_file = self._folder / RUN_FILE
        asked = read_json(run_file) if run_file.is_file() else {"arguments": arguments}
        self._description = {
            **asked,
            # Written by the worker itself: the process that was started may only be a launcher.
            "pid": os.getpid(),
            "started": utc_now(),
            "versions": {"segautoplan": __version__, "python": platform.python_version()},
            "exit": None,
        }

    def __enter__(self) -> RunReporter:
        (self._folder / STOP_FILE).unlink(missing_ok=True)
        write_json(self._folder / RUN_FILE, self._description)
        self.event("started", pid=os.getpid())
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def event(self, event: str, **fields: Any) -> None:
        line = json.dumps({"time": utc_now(), "event": event, **fields}, ensure_ascii=False)
        with self._lock, open(self._folder / PROGRESS_FILE, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._console.event(event, **fields)

    def stop_requested(self) -> bool:
        return (self._folder / STOP_FILE).exists()

    def close(self, exit_code: int) -> None:
        """Write how it ended into run.json."""
        write_json(self._folder / RUN_FILE, {**self._description, "ended": utc_now(), "exit": exit_code})

    def _beat(self) -> None:
        progress = self._folder / PROGRESS_FILE
        while not self._end.wait(HEARTBEAT_S):
            now = time.time()
            os.utime(progress, (now, now))
