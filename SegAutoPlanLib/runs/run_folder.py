"""A run folder: what one piece of long work writes, and what any number of viewers read.

`run.json` says what was asked, by whom it is worked on and how it ended; `progress.jsonl` is append-only, one JSON
object a line; `log.txt` is the process's output; a file `STOP` asks it to end cleanly.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN_FILE, PROGRESS_FILE, LOG_FILE, STOP_FILE = "run.json", "progress.jsonl", "log.txt", "STOP"
LAUNCHER_FILE = "launcher.pid"
"""Of the process that was started; the worker, which may be its child, writes its own into run.json."""
HEARTBEAT_S = 5.0
"""A worker touches its progress file at least this often."""
SILENT_S = 120.0
"""After this long without a heartbeat a worker is taken for lost."""
START_GRACE_S = 2.0
"""Between asking for a run and noting the process that was started for it."""


@dataclass(frozen=True)
class RunState:
    """What a viewer shows of a run."""

    status: str
    """`starting`, `running`, `stopping`, `finished`, `stopped`, `failed` or `lost` (the process is gone, unasked)."""
    stage: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    eta_s: float | None = None
    message: str = ""
    hint: str = ""
    epochs: tuple[dict[str, Any], ...] = ()
    """The `epoch` events, first to last."""
    warnings: tuple[str, ...] = ()
    result: dict[str, Any] | None = None
    """What the work gave, as its `finished` event says."""

    @property
    def over(self) -> bool:
        return self.status in ("finished", "stopped", "failed", "lost")


class RunFolder:
    """One run, seen from outside. It holds nothing but the path: every question is answered by the files."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def name(self) -> str:
        return self.path.name

    def description(self) -> dict[str, Any]:
        """run.json; empty while it is not there yet."""
        try:
            return json.loads((self.path / RUN_FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def new_events(self, position: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The events after a byte position, and the position to ask from next time.

        A last line that is still being written is left for the next call.
        """
        try:
            with open(self.path / PROGRESS_FILE, "rb") as file:
                file.seek(position)
                content = file.read()
        except FileNotFoundError:
            return [], position
        complete, newline, _ = content.rpartition(b"\n")
        lines = [line for line in complete.split(b"\n") if line.strip()]
        return [json.loads(line) for line in lines], position + len(complete) + len(newline)

    def state(self) -> RunState:
        events, _ = self.new_events()
        state = state_from_events(events)
        if state.over:
            return state
        if self._is_gone(started=bool(events)):
            return _with(state, status="lost", message=self._lost_message(), hint="The log may say why.")
        if (self.path / STOP_FILE).exists():
            return _with(state, status="stopping")
        return state

    def request_stop(self) -> None:
        """Ask for a clean stop; the work ends at its next step and keeps what it has."""
        (self.path / STOP_FILE).touch()

    def kill(self) -> None:
        """End the process and its children at once. For work that does not answer `request_stop`."""
        for pid in {self.description().get("pid"), self._launcher_pid()} - {None}:
            if process_is_alive(pid):
                _kill_tree(pid)

    def log_tail(self, lines: int = 20) -> str:
        try:
            text = (self.path / LOG_FILE).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def wait(self, timeout_s: float | None = None) -> RunState:
        """Wait for the end (or the time limit) and return the state then."""
        limit = None if timeout_s is None else time.monotonic() + timeout_s
        while not (state := self.state()).over and (limit is None or time.monotonic() < limit):
            time.sleep(0.2)
        return state

    def _is_gone(self, started: bool) -> bool:
        description = self.description()
        pid = description.get("pid")
        if pid is not None:
            silence = time.time() - self._last_heartbeat()
            # Elsewhere (a shared disk) only the heartbeat tells; here a number may also have gone to another process.
            lives = description.get("host") != platform.node() or process_is_alive(pid)
            return (not lives or silence > SILENT_S) and self._still_unfinished()
        launcher = self._launcher_pid()
        if launcher is not None and process_is_alive(launcher):
            return False
        return (
            not started
            and time.time() - description.get("asked_at", time.time()) > START_GRACE_S
            and self._still_unfinished()
        )

    def _launcher_pid(self) -> int | None:
        try:
            return int((self.path / LAUNCHER_FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def _still_unfinished(self) -> bool:
        # The last events may have been written between reading them and looking for the process.
        events, _ = self.new_events()
        return not state_from_events(events).over

    def _last_heartbeat(self) -> float:
        try:
            return (self.path / PROGRESS_FILE).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _lost_message(self) -> str:
        last = self.log_tail(1)
        return f"{self.path}: the process ended without a word{f' (last: {last})' if last else ''}."


def state_from_events(events: Sequence[dict[str, Any]]) -> RunState:
    """The state that a sequence of events leads to."""
    status, latest, end = "starting", {}, {}
    epochs: list[dict[str, Any]] = []
    warnings: list[str] = []
    for event in events:
        kind = event["event"]
        if kind in ("finished", "stopped", "failed"):
            status, end = kind, event
        else:
            # A resumed run writes on in the folder of the old one.
            status, end = "running", {}
        if kind == "progress":
            latest = event
        elif kind == "epoch":
            epochs = [*(e for e in epochs if e["epoch"] < event["epoch"]), event]
        elif kind == "warning":
            warnings.append(event["message"])
    return RunState(
        status=status,
        stage=latest.get("stage", ""),
        done=latest.get("done", 0),
        total=latest.get("total", 0),
        unit=latest.get("unit", ""),
        eta_s=latest.get("eta_s"),
        message=end.get("message", ""),
        hint=end.get("hint", ""),
        epochs=tuple(epochs),
        warnings=tuple(warnings),
        result=end.get("result"),
    )


def list_runs(runs_folder: Path | str) -> list[RunFolder]:
    """All runs, newest first (names begin with the time)."""
    folder = Path(runs_folder)
    if not folder.is_dir():
        return []
    found = [entry for entry in folder.iterdir() if (entry / RUN_FILE).is_file()]
    return [RunFolder(entry) for entry in sorted(found, key=lambda entry: entry.name, reverse=True)]


def process_is_alive(pid: int) -> bool:
    """Whether a process with that number runs on this computer."""
    if sys.platform == "win32":
        return _windows_process_is_alive(pid)
    # A child of ours that has ended stays a zombie, which answers signals, until we look at it.
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _windows_process_is_alive(pid: int) -> bool:
    query_limited_information, still_active, access_denied = 0x1000, 259, 5
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        return ctypes.get_last_error() == access_denied
    try:
        code = ctypes.c_ulong()
        return bool(kernel.GetExitCodeProcess(handle, ctypes.byref(code))) and code.value == still_active
    finally:
        kernel.CloseHandle(handle)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _kill_tree(pid: int) -> None:
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill", "/PID", str(pid), "/T", "/F"],
            capture_output=True,
            check=False,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        group = os.getpgid(pid)
        if group != os.getpgid(0):
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def _with(state: RunState, **changes: Any) -> RunState:
    return RunState(**{**vars(state), **changes})
