"""How a run stands, in words: the same in every panel and in the status bar."""

from __future__ import annotations

import re

from slicer.i18n import tr as _

from SegAutoPlanLib.progress import duration_in_words
from SegAutoPlanLib.runs import RunState

TIME_OF_NAME = re.compile(r"\d{4}-\d\d-\d\d_(?P<hour>\d\d)-(?P<minute>\d\d)-\d\d_")


def runningStatus(state: RunState) -> str:
    """What a run does now, in a few words."""
    if state.status == "starting" or not state.stage:
        return _("Starting...")
    stage = state.stage[0].upper() + state.stage[1:]
    return f"{stage}: {state.done} / {state.total}" if state.total else f"{stage}..."


def timeLeft(state: RunState) -> str:
    """How long it will take, at its present pace."""
    if state.eta_s is None:
        return _("estimating the time...")
    return _("{duration} left").format(duration=duration_in_words(state.eta_s))


def outcomeOf(state: RunState) -> str:
    """How a run ended that gave no result, in a sentence or two."""
    if state.status == "stopped":
        return _("Cancelled.")
    return " ".join(filter(None, (state.message, state.hint))) or _("It failed; the log tells more.")


def shortName(name: str) -> str:
    """A run's name with the time of its beginning and without the day, e.g. `07:54 segment_head`."""
    match = TIME_OF_NAME.match(name)
    return f"{match['hour']}:{match['minute']} {name[match.end() :]}" if match else name
