"""Keeping Slicer's window alive while a script waits for the engine."""

from __future__ import annotations

import time
from typing import Any

import slicer

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.runs import RunFolder, RunState

from ..engine.run_follower import pollMilliseconds
from ..engine.run_words import outcomeOf, runningStatus
from .segmentation_following import isFollowed

STATUS_MILLISECONDS = 2000


def waitFor(run: RunFolder, timeoutSeconds: float | None = None) -> RunState:
    """Let the application go on until a run has ended, and its result is loaded if somebody waits for that.

    Returns the state then, or at the time limit.
    """
    since = time.monotonic()
    limit = None if timeoutSeconds is None else since + timeoutSeconds
    watcher = run.watch()
    while True:
        slicer.app.processEvents()
        state = watcher.poll()
        if (state.over and not isFollowed(run)) or (limit is not None and time.monotonic() > limit):
            return state
        slicer.util.showStatusMessage(runningStatus(state), STATUS_MILLISECONDS)
        time.sleep(pollMilliseconds(time.monotonic() - since) / 1000)


def resultOf(run: RunFolder) -> Any:
    """Wait for a run and return what it gave, as its `finished` event has it.

    Raises:
        UserInputError: it failed or was stopped; the message is the engine's.
    """
    state = waitFor(run)
    if state.status != "finished":
        raise UserInputError(outcomeOf(state))
    return state.result
