"""One process that stays ready between runs, from its starter's side; its own side is in serve.py."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError
from ..files import write_json
from .processes import RUNS_FOLDER_OPTION, ProcessIdentity
from .run_files import LAUNCHER_FILE, LOG_FILE
from .run_folder import RunFolder
from .run_reporter import append_event
from .start import new_run, start_alone, start_module

END_PATIENCE_S = 5.0
"""How long a process may take to end when its orders do; then it is ended."""
START_PATIENCE_S = 0.5
"""After this long a stop is no longer waited for by a process that has not begun the run yet."""
REPLACED = "The engine that was kept ready had ended (exit code {code}); another one was started."
ALONE = "The engine could not be kept ready (exit code {code}); this run has a process of its own."


@dataclass(frozen=True)
class WorkerSettings:
    """What a process is started with; another choice needs another process."""

    runs_folder: Path
    """Of all the runs that it works on."""
    idle_s: float
    """After so long without work it ends."""
    python: str | None = None
    environment: Mapping[str, str] | None = None

    @property
    def surroundings(self) -> dict[str, str]:
        return dict(os.environ if self.environment is None else self.environment)


@dataclass
class _Process:
    popen: subprocess.Popen
    settings: WorkerSettings
    surroundings: dict[str, str]
    runs: int = 0
    """That it has been given."""

    def suits(self, settings: WorkerSettings) -> bool:
        chosen = (settings.runs_folder, settings.idle_s, settings.python)
        mine = (self.settings.runs_folder, self.settings.idle_s, self.settings.python)
        return chosen == mine and settings.surroundings == self.surroundings


class _Job:
    def __init__(self, run: RunFolder, settings: WorkerSettings) -> None:
        self.run, self.settings = run, settings
        self.watcher = run.watch()
        self.handed_at = 0.0

    def is_begun(self) -> bool:
        return self.run.description().worker is not None


class WarmWorker:
    """At most one process of the engine, which is given one run after the other and keeps what it has loaded.

    Its owner calls `poll` again and again while it `is_busy`. The process ends with its owner's: its orders come
    through a pipe. As long as a run waits, its folder names the owner's process as the one that holds it.
    """

    def __init__(self) -> None:
        self._process: _Process | None = None
        self._current: _Job | None = None
        self._waiting: deque[_Job] = deque()
        self._is_released = False

    @property
    def pid(self) -> int | None:
        """Of the process (or of the launcher that it is a child of), if there is one."""
        return self._process.popen.pid if self._process is not None and self._is_alive() else None

    @property
    def is_busy(self) -> bool:
        """Whether a run is in work, or waits."""
        return self._current is not None or bool(self._waiting)

    def start_run(self, arguments: Sequence[str], name: str, settings: WorkerSettings) -> RunFolder:
        """A new run, which begins at once or after those that were started before; see `start_run` of start.py.

        Raises:
            UserInputError: the interpreter cannot be started.
        """
        self._is_released = False
        run = new_run(arguments, settings.runs_folder, name)
        write_json(run.path / LAUNCHER_FILE, ProcessIdentity.of(os.getpid(), str(run.path)).to_json())
        self.poll()
        if self.is_busy:
            self._waiting.append(_Job(run, settings))
        else:
            self._hand_over(_Job(run, settings))
        return run

    def poll(self) -> None:
        """See what has ended, and go on with what waits."""
        for job in [job for job in self._waiting if job.run.stop_requested()]:
            self._waiting.remove(job)
            _end_unbegun(job.run)
        if self._current is not None:
            self._look_at(self._current)
        while self._current is None and self._waiting:
            with contextlib.suppress(UserInputError):  # it is told in the run folder
                self._hand_over(self._waiting.popleft())
        if self._is_released and not self.is_busy:
            self._end_process()

    def release(self) -> None:
        """Let the process go, and its memory with it, as soon as it has done what was started."""
        self._is_released = True
        self.poll()

    def close(self) -> None:
        """End the process now: what runs and what waits is stopped."""
        for job in self._waiting:
            _end_unbegun(job.run)
        self._waiting.clear()
        self._end_process()
        if self._current is not None:
            self._look_after_death(self._current, None)

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.popen.poll() is None

    def _look_at(self, job: _Job) -> None:
        if not self._is_alive():
            process, self._process = self._process, None
            self._look_after_death(job, process)
        elif job.watcher.poll().over:
            self._current = None
        elif job.run.stop_requested() and not job.is_begun() and self._has_been_patient(job):
            # It is in the midst of starting, and hears nothing until then.
            self._process.popen.kill()

    @staticmethod
    def _has_been_patient(job: _Job) -> bool:
        return time.monotonic() - job.handed_at > START_PATIENCE_S

    def _look_after_death(self, job: _Job, process: _Process | None) -> None:
        self._current = None
        if job.is_begun():
            # Who watches the run sees by this that nobody works on it any more.
            with contextlib.suppress(OSError):
                (job.run.path / LAUNCHER_FILE).unlink()
        elif process is None or job.run.stop_requested():
            _end_unbegun(job.run)
        elif process.runs == 1:
            # It has never worked: the mistake may be one of keeping it.
            _say(job.run, ALONE.format(code=process.popen.returncode))
            with contextlib.suppress(UserInputError):
                start_alone(job.run, job.settings.python, job.settings.environment)
        else:
            _say(job.run, REPLACED.format(code=process.popen.returncode))
            self._waiting.appendleft(job)

    def _hand_over(self, job: _Job) -> None:
        if self._process is not None and not self._is_alive():
            if (code := self._process.popen.returncode) != 0:
                _say(job.run, REPLACED.format(code=code))
            self._process = None
        if self._process is not None and not self._process.suits(job.settings):
            self._end_process()
        if self._process is None:
            self._process = _start(job)
        self._current = job
        job.handed_at = time.monotonic()
        self._process.runs += 1
        order = {"run_folder": str(job.run.path), "arguments": job.run.description().arguments}
        # One that has ended meanwhile is seen at the next look.
        with contextlib.suppress(OSError):
            self._process.popen.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.popen.stdin.flush()

    def _end_process(self) -> None:
        if self._process is None:
            return
        popen, self._process = self._process.popen, None
        with contextlib.suppress(OSError):
            popen.stdin.close()
        try:
            popen.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


def _start(job: _Job) -> _Process:
    settings = job.settings
    arguments = ["SegAutoPlanLib.serve", RUNS_FOLDER_OPTION, str(job.run.path.parent)]
    arguments += ["--idle-seconds", str(settings.idle_s)]
    surroundings = settings.surroundings
    popen = start_module(arguments, job.run.path, settings.python, surroundings, subprocess.PIPE)
    return _Process(popen, settings, surroundings)


def _end_unbegun(run: RunFolder) -> None:
    with contextlib.suppress(OSError):
        append_event(run.path, "stopped", message="It was stopped before it had begun.")


def _say(run: RunFolder, sentence: str) -> None:
    with contextlib.suppress(OSError), open(run.path / LOG_FILE, "a", encoding="utf-8") as log:
        log.write(f"{sentence}\n")
