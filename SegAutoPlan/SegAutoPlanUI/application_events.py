"""Keeping Slicer's window alive while Python works or waits."""

from __future__ import annotations

import time

import slicer

from SegAutoPlanLib.progress import Reporter, event_in_words
from SegAutoPlanLib.runs import RunFolder, RunState

from .segmentation_following import isFollowed

STATUS_MILLISECONDS = 3000


class ApplicationReporter(Reporter):
    """Shows work that goes on in Slicer's own process in the status bar, and lets the window answer in between."""

    def event(self, event: str, **fields: object) -> None:
        if event == "progress":
            text = f"{fields['stage']}: {fields['done']} / {fields['total']}"
        else:
            text = event_in_words(event, fields)
        if text:
            slicer.util.showStatusMessage(text, STATUS_MILLISECONDS)
        slicer.app.processEvents()


def waitFor(run: RunFolder, timeoutSeconds: float | None = None) -> RunState:
    """Let the application go on until a run has ended, and its result is loaded if somebody waits for that.

    Returns the state then, or at the time limit.
    """
    limit = None if timeoutSeconds is None else time.monotonic() + timeoutSeconds
    while True:
        slicer.app.processEvents()
        state = run.state()
        if (state.over and not isFollowed(run)) or (limit is not None and time.monotonic() > limit):
            return state
        time.sleep(0.05)
