"""Watching a run folder from Slicer's event loop."""

from __future__ import annotations

import time
from collections.abc import Callable

from SegAutoPlanLib.runs import RunFolder, RunState

from .poll_timer import PollTimer

POLL_MILLISECONDS = 500
SOONEST_POLL_MILLISECONDS = 20
PART_OF_THE_TIME = 20
"""A run that has been followed for a second is looked at after another 20th of that: short ones are not waited for, and
long ones cost nothing."""
STOP_PATIENCE_SECONDS = 15


class RunFollower:
    """Calls `onState(state)` at each look at a run, the last time when the run has ended.

    It only reads, at each look what is new: any number of followers may watch one run, and none needs to have started
    it. `release` it when it is no longer wanted; the end of the run does so too.
    """

    def __init__(self, run: RunFolder, onState: Callable[[RunState], None]) -> None:
        self.run = run
        self.state = RunState("starting")
        """As the last look found it."""
        self._watcher = run.watch()
        self._onState = onState
        self._timer = PollTimer(self.poll, SOONEST_POLL_MILLISECONDS)
        self._since = time.monotonic()

    def start(self) -> None:
        self._timer.start(pollMilliseconds(time.monotonic() - self._since))

    def release(self) -> None:
        """Look no more; the run goes on."""
        self._timer.release()

    def poll(self) -> None:
        """Look now; nothing happens once the run's end was seen."""
        if self.state.over:
            return
        self.state = self._watcher.poll()
        if self.state.over:
            self.release()
        else:
            self.start()
        self._onState(self.state)


def pollMilliseconds(followedSeconds: float) -> int:
    """How soon to look again at a run that is followed since so long."""
    wanted = int(1000 * followedSeconds / PART_OF_THE_TIME)
    return min(max(wanted, SOONEST_POLL_MILLISECONDS), POLL_MILLISECONDS)


def cancel(run: RunFolder, state: RunState) -> None:
    """Ask a run that stands so to stop; ask a second time and its process is ended.

    Raises:
        UserInputError: its process cannot be ended from here; the message says why.
    """
    # Asked for first, so that nobody takes the end for an accident.
    run.request_stop()
    if state.status in ("starting", "stopping"):
        run.kill()


def stopPatienceIsOver(run: RunFolder) -> bool:
    """Whether a clean stop was asked for so long ago that the process has to be ended.

    The run folder tells, not a clock started here: so it holds whoever asked, and after a reload.
    """
    seconds = run.seconds_since_stop_request()
    return seconds is not None and seconds > STOP_PATIENCE_SECONDS
