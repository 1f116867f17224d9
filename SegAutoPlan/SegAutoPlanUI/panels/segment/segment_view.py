"""What the panel shows, as a function of what is chosen and what is running."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

from SegAutoPlanLib.runs import RunState

from ...engine.run_words import outcomeOf, runningStatus, timeLeft


@dataclass(frozen=True)
class SegmentView:
    """One look of the segment section."""

    buttonText: str
    buttonEnabled: bool
    buttonToolTip: str
    status: str
    progressVisible: bool = False
    progressDone: int = 0
    progressTotal: int = 0
    """0 while nothing is known yet: the bar then only moves."""
    progressText: str = ""


def viewOf(problem: str | None, state: RunState | None, resultWaits: bool = False) -> SegmentView:
    """The look for a given state.

    Args:
        problem: why segmenting cannot start, in one sentence; None if it can.
        state: of the run that is shown; None if there is none.
        resultWaits: whether the run's result is still to be loaded.
    """
    if state is not None and not state.over:
        return _runningView(state)
    return SegmentView(
        buttonText=_("Segment"),
        buttonEnabled=problem is None,
        buttonToolTip=problem or _("Segment the volume; you can go on working meanwhile."),
        status=_endedStatus(state, resultWaits),
    )


def _runningView(state: RunState) -> SegmentView:
    stopping = state.status == "stopping"
    known = state.status == "running" and bool(state.total)
    return SegmentView(
        buttonText=_("Stop now") if stopping else _("Cancel"),
        buttonEnabled=True,
        buttonToolTip=_("End the process at once.")
        if stopping
        else _("Stop the segmentation; the scene stays as it is."),
        status=_("Stopping...") if stopping else runningStatus(state),
        progressVisible=True,
        progressDone=state.done if known else 0,
        progressTotal=state.total if known else 0,
        progressText=f"%p%  {timeLeft(state)}" if known else "",
    )


def _endedStatus(state: RunState | None, resultWaits: bool) -> str:
    if state is None:
        return ""
    if state.status == "finished":
        return _('Finished. The result waits under "Runs".') if resultWaits else _("Finished.")
    return outcomeOf(state)
