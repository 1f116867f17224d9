"""Which process is ours: a number alone is not enough, for numbers are given again and exist on every computer."""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RUN_FOLDER_OPTION = "--run-folder"
RUNS_FOLDER_OPTION = "--runs-folder"
"""Of a process that works on one run of that folder after the other."""


class Presence(enum.Enum):
    """What can be said of a recorded process."""

    ALIVE = "alive"
    GONE = "gone"
    """Nothing has its number here, or another process has by now."""
    UNKNOWN = "unknown"
    """It is another computer's, or was not recorded well enough to tell."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told from every other one that had or will have its number."""

    pid: int
    host: str
    started: str
    """When it started, as the system tells (to be compared, not read); empty where that is not known."""
    run_folder: str
    """The run folder, as it stands in the process's command line."""
    program: str = ""
    """The program's file; on Windows, where a command line is not shown to others, it stands for it."""

    @classmethod
    def of(cls, pid: int, run_folder: str) -> ProcessIdentity:
        """The process that has this number on this computer now."""
        seen = _look_at(pid)
        return cls(pid, platform.node(), seen.started if seen else "", run_folder, seen.program if seen else "")

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ProcessIdentity | None:
        """The identity, or None where none can be read."""
        pid = content.get("pid")
        if isinstance(pid, bool) or not isinstance(pid, int) or not 0 < pid < 2**31:
            return None
        texts = [content.get(name) for name in ("host", "process_started", "run_folder", "program")]
        return cls(pid, *(text if isinstance(text, str) else "" for text in texts))

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        return {"process_started" if name == "started" else name: value for name, value in content.items()}

    def presence(self) -> Presence:
        """Whether it lives; the number and the time of its start tell."""
        if self.host != platform.node():
            return Presence.UNKNOWN
        seen = _look_at(self.pid)
        if seen is None:
            return Presence.GONE
        if not self.started or not seen.started:
            return Presence.UNKNOWN
        return Presence.ALIVE if seen.started == self.started else Presence.GONE

    def kill(self, folder: Path) -> str:
        """End it and its children at once if it is proven to work in `folder`; else say in a sentence why not.

        Empty if it was ended, or had ended before and nothing has its number.
        """
        if self.host != platform.node():
            return f"{folder}: its process runs on another computer ({self.host or 'unknown'}); end it there."
        if self.pid == os.getpid():  # it holds the run until somebody works on it, and sees the request to stop
            return ""
        seen = _look_with_command(self.pid)
        if seen is None:
            return ""
        if not self.started or seen.started != self.started:
            return f"{folder}: process {self.pid} is not known to be this run's; it was left alone."
        if not self._was_given(folder, seen):
            return f"{folder}: process {self.pid} was not started for this run; it was left alone."
        _kill_tree(self.pid)
        return ""

    def _was_given(self, folder: Path, seen: _Seen) -> bool:
        if not self.run_folder or not _are_one(Path(self.run_folder), folder):
            return False
        if sys.platform == "win32":
            return bool(seen.program) and seen.program == self.program
        line = f"{seen.command} "
        given = ((RUN_FOLDER_OPTION, self.run_folder), (RUNS_FOLDER_OPTION, os.path.dirname(self.run_folder)))
        return any(f" {option}{sign}{path} " in line for option, path in given for sign in (" ", "="))


@dataclass(frozen=True)
class _Seen:
    """What the system tells of a living process; what it does not tell is empty."""

    started: str = ""
    command: str = ""
    program: str = ""


def _look_at(pid: int) -> _Seen | None:
    """A living process (not one that has ended and waits to be taken note of), or None."""
    if sys.platform == "win32":
        return _look_on_windows(pid)
    if Path("/proc/self/stat").exists():
        return _look_in_proc(pid)
    return _look_with_ps(pid)


def _look_with_command(pid: int) -> _Seen | None:
    # While a process ends, or becomes another program, it has no command line for a moment.
    for _ in range(20):
        seen = _look_at(pid)
        if seen is None or seen.command or seen.program:
            break
        time.sleep(0.01)
    return seen


def _look_in_proc(pid: int) -> _Seen | None:
    process = Path(f"/proc/{pid}")
    try:
        # The name, in parentheses, may itself hold blanks and parentheses.
        fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
        arguments = os.fsdecode((process / "cmdline").read_bytes()).split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return _hidden_or_gone(pid)
    if fields[0] in "ZX":
        return None
    # Ticks since the computer started, so its start belongs to it.
    with contextlib.suppress(OSError):
        return _Seen(f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {fields[19]}", " ".join(arguments))
    return _Seen(fields[19], " ".join(arguments))


def _hidden_or_gone(pid: int) -> _Seen | None:
    # A server may be set up to show nobody the processes of others.
    try:
        os.kill(pid, 0)
    except PermissionError:
        return _Seen()
    except ProcessLookupError:
        pass
    return None


def _look_with_ps(pid: int) -> _Seen | None:
    """macOS and the BSDs, which have no /proc."""
    # One time zone and language: the texts are compared, and a laptop travels.
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    command = ["ps", "-ww", "-o", "stat=", "-o", "lstart=", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    words = shown.stdout.split(None, 6)
    if shown.returncode != 0 or not words or words[0].startswith("Z"):
        return None
    return _Seen(" ".join(words[1:6]), words[6].rstrip("\n") if len(words) > 6 else "")


def _look_on_windows(pid: int) -> _Seen | None:
    query_limited_information, still_active, access_denied = 0x1000, 259, 5
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(kernel.OpenProcess(query_limited_information, False, pid))
    if not handle:
        return _Seen() if ctypes.get_last_error() == access_denied else None
    try:
        code = ctypes.c_ulong()
        if not kernel.GetExitCodeProcess(handle, ctypes.byref(code)) or code.value != still_active:
            return None
        created, *others = (ctypes.c_ulonglong() for _ in range(4))
        known = kernel.GetProcessTimes(handle, ctypes.byref(created), *map(ctypes.byref, others))
        name, length = ctypes.create_unicode_buffer(32768), ctypes.c_ulong(32768)
        named = kernel.QueryFullProcessImageNameW(handle, 0, name, ctypes.byref(length))
        return _Seen(str(created.value) if known else "", "", name.value if named else "")
    finally:
        kernel.CloseHandle(handle)


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
        # A group that it leads is its own; any other is also its starter's (a shell's, a script's).
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def _are_one(given: Path, folder: Path) -> bool:
    if not given.is_absolute():  # from wherever the process was started
        return given.name == folder.name
    try:
        return given.samefile(folder)
    except OSError:
        return False
