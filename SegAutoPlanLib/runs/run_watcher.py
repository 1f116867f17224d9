"""Following a run: each look reads only what was written since the last one."""

from __future__ import annotations

import enum
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import FileError
from .event_log import EventLog
from .processes import Presence
from .run_files import (
    PROGRESS_FILE,
    RUN_FILE,
    RunDescription,
    log_end,
    read_description,
    read_launcher,
    seconds_since_change,
    stop_requested,
)
from .run_state import RunState, StateAccumulator

SILENT_S = 120.0
"""After this long without a heartbeat a worker that cannot be looked at is taken for lost."""
START_GRACE_S = 10.0
"""Between asking for a run and noting the process that was started for it."""
KILLED_MESSAGE = "It was stopped before it could say how far it was."


class _Life(enum.Enum):
    ALIVE = enum.auto()
    GONE = enum.auto()
    SILENT = enum.auto()
    """It cannot be looked at and gives no sign of life."""


class RunWatcher:
    """Knows how one run stands; each `poll` reads what its worker has added.

    Any number may watch a run. None writes anything, and none needs to have started it.
    """

    def __init__(self, path: Path | str) -> None:
        """`path`: the run folder."""
        self._path = Path(path)
        self._log = EventLog(self._path / PROGRESS_FILE)
        self._accumulator = StateAccumulator()
        self._description = RunDescription()
        self._described: tuple[int, int] | None = None
        self._problem = ""
        self.new_events: tuple[dict[str, Any], ...] = ()
        """What the last poll read (of progress that was overtaken meanwhile, only the last)."""

    def poll(self) -> RunState:
        """How the run stands now."""
        self._read_description()
        events = self._read_events()
        state = self._accumulator.state
        if not self.is_up_to_date:
            # More is to come at the next look: how it ended may have been overtaken, and nobody is missed yet.
            state = replace(state, status="running")
        elif not state.over:
            life = self._life()
            # The last events may have been written between reading them and looking for the process.
            events += self._read_events()
            state = self._accumulator.state
            if not state.over:
                state = self._unfinished(state, life)
        self.new_events = tuple(events)
        return replace(state, warnings=(*state.warnings, *self._unreadable()))

    @property
    def is_up_to_date(self) -> bool:
        """Whether the last poll read all that was there; of a huge log each reads only so much."""
        return self._log.is_read_to_end

    def _read_description(self) -> None:
        try:
            found = (self._path / RUN_FILE).stat()
            described = (found.st_size, found.st_mtime_ns)
        except OSError:
            described = None
        if described is None or described != self._described:
            self._described, self._description = described, read_description(self._path)

    def _read_events(self) -> list[dict[str, Any]]:
        try:
            events, anew = self._log.read()
        except (OSError, FileError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.problem
            self._problem = f"{self._path / PROGRESS_FILE}: cannot be read ({reason})."
            return []
        self._problem = ""
        if anew:
            self._accumulator = StateAccumulator()
        return [event for event in events if self._took(event)]

    def _took(self, event: dict[str, Any]) -> bool:
        try:
            self._accumulator.take(event)
        except ValueError:
            self._log.unreadable_lines += 1
            return False
        return True

    def _life(self) -> _Life:
        processes = (self._description.worker, read_launcher(self._path))
        presences = {process.presence() for process in processes if process is not None}
        if Presence.ALIVE in presences:
            return _Life.ALIVE
        if presences == {Presence.GONE}:
            return _Life.GONE
        silence = seconds_since_change(self._path, time.time())
        patience = SILENT_S if presences else START_GRACE_S
        return _Life.SILENT if silence is None or silence > patience else _Life.ALIVE

    def _unfinished(self, state: RunState, life: _Life) -> RunState:
        if life is _Life.ALIVE:
            return replace(state, status="stopping") if stop_requested(self._path) else state
        if life is _Life.GONE and stop_requested(self._path):
            return replace(state, status="stopped", message=KILLED_MESSAGE)
        return replace(state, status="lost", message=self._lost_message(life), hint="The log may say why.")

    def _lost_message(self, life: _Life) -> str:
        if life is _Life.SILENT:
            return self._description.problem or f"{self._path}: there is no sign of its process."
        last = log_end(self._path, 1)
        return f"{self._path}: the process ended without a word{f' (last: {last})' if last else ''}."

    def _unreadable(self) -> list[str]:
        said = [sentence for sentence in (self._problem, self._description.problem) if sentence]
        if count := self._log.unreadable_lines:
            lines = "1 line was" if count == 1 else f"{count} lines were"
            said.append(f"{self._path / PROGRESS_FILE}: {lines} skipped, which cannot be read.")
        return said
