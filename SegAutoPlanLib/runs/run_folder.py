"""A run seen from outside: what one piece of long work writes, and what any number of viewers read and ask for."""

from __future__ import annotations

import os
import time
from itertools import islice
from pathlib import Path

from ..errors import UserInputError, in_sentences
from ..names import problem_of_name
from .run_files import (
    RUN_FILE,
    STOP_FILE,
    RunDescription,
    log_end,
    read_description,
    read_launcher,
    stop_requested,
)
from .run_state import RunState
from .run_watcher import RunWatcher

MOST_LOOKS = 20
"""After which a log is too long to be one."""


class RunFolder:
    """One run. It holds nothing but the path: every question is answered by the files (see run_files.py)."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def name(self) -> str:
        return self.path.name

    def description(self) -> RunDescription:
        """What was asked, who works on it, how it ended; empty while it is not there yet."""
        return read_description(self.path)

    def state(self) -> RunState:
        """How it stands; reads all that was written. Who asks again and again wants `watch`."""
        watcher = self.watch()
        for _ in range(MOST_LOOKS):
            state = watcher.poll()
            if watcher.is_up_to_date:
                break
        return state

    def watch(self) -> RunWatcher:
        """A watcher, each of whose looks reads only what is new."""
        return RunWatcher(self.path)

    def stop_requested(self) -> bool:
        """Whether somebody asked it to end."""
        return stop_requested(self.path)

    def seconds_since_stop_request(self) -> float | None:
        """How long ago somebody first asked it to end; None if nobody did."""
        try:
            return time.time() - (self.path / STOP_FILE).lstat().st_mtime
        except OSError:
            return None

    def request_stop(self) -> None:
        """Ask for a clean stop; the work ends at its next step and keeps what it has.

        Raises:
            UserInputError: the folder cannot be written to.
        """
        if not self.stop_requested():  # the first request counts, for those who are waiting since
            with in_sentences():
                (self.path / STOP_FILE).touch()

    def kill(self) -> None:
        """End its process and the children of that at once. For work that does not answer `request_stop`.

        Raises:
            UserInputError: no process is proven to be this run's (it works on another computer, or the number in
                run.json is another process's by now); nothing was ended.
        """
        description = self.description()
        # One that has said how this run ended may by now work on another.
        worker = description.worker if description.exit_code is None else None
        processes = [process for process in (worker, read_launcher(self.path)) if process is not None]
        reasons = [process.kill(self.path) for process in processes]
        if reasons and all(reasons):
            raise UserInputError(reasons[0])

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the process's output."""
        return log_end(self.path, lines)

    def wait(self, timeout_s: float | None = None) -> RunState:
        """Wait for the end (or the time limit) and return the state then."""
        limit = None if timeout_s is None else time.monotonic() + timeout_s
        watcher = self.watch()
        while not (state := watcher.poll()).over and (limit is None or time.monotonic() < limit):
            time.sleep(0.2)
        return state


def known_run(runs_folder: Path | str, path: Path | str) -> RunFolder | None:
    """The run that a path means, if it is one of this folder; None for any other path, which is not even looked at.

    A scene may come from anybody and name any folder, a share of another computer included.
    """
    folder, path = Path(runs_folder), Path(path)
    if problem_of_name(path.name) is not None:
        return None
    parents = {os.path.normcase(os.path.abspath(folder)), os.path.normcase(os.path.realpath(folder))}
    if not path.is_absolute() or os.path.normcase(path.parent) not in parents:
        return None
    run = folder / path.name
    return RunFolder(path) if run.is_dir() and not run.is_symlink() else None


def list_runs(runs_folder: Path | str, most: int | None = None) -> list[RunFolder]:
    """The runs of a folder (all, or the newest `most`), newest first: names begin with the time."""
    folder = Path(runs_folder)
    try:
        names = sorted(
            (entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)), reverse=True
        )
    except OSError:
        return []
    return list(islice((RunFolder(folder / name) for name in names if os.path.exists(folder / name / RUN_FILE)), most))
