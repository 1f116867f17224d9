"""Watching a run folder from Slicer's event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import qt

from SegAutoPlanLib.runs import RunFolder, RunState

POLL_MILLISECONDS = 500
STOP_PATIENCE_SECONDS = 15


class RunFollower:
    """Calls `onState(state)` at each look at a run, the last time when the run has ended.

    It only reads: any number of followers may watch one run, and none needs to have started it.
    """

    def __init__(
        self, run: RunFolder, onState: Callable[[RunState], None], intervalMs: int = POLL_MILLISECONDS
    ) -> None:
        self.run = run
        self._onState = onState
        self._timer = qt.QTimer()
        self._timer.interval = intervalMs
        self._timer.timeout.connect(self.poll)

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def poll(self) -> None:
        state = self.run.state()
        if state.over:
            self.stop()
        self._onState(state)


def cancel(run: RunFolder) -> None:
    """Ask a run to stop; ask a second time and its process is ended."""
    if run.state().status in ("starting", "stopping"):
        # A process that is still starting would clear away the wish of whoever asked before it listened.
        run.kill()
    run.request_stop()


def stopPatienceIsOver(run: RunFolder) -> bool:
    """Whether a clean stop was asked for so long ago that the process has to be ended.

    The age of the STOP file tells, not a clock started here: so it holds whoever asked, and after a reload.
    """
    stop = Path(run.path) / "STOP"
    return stop.is_file() and time.time() - stop.stat().st_mtime > STOP_PATIENCE_SECONDS
