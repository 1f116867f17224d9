"""Waiting for a segmentation run to end, and loading its result when it does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import slicer

from SegAutoPlanLib.errors import UserInputError, in_sentences
from SegAutoPlanLib.runs import RunFolder, RunState

from ..engine.run_follower import RunFollower, stopPatienceIsOver
from ..engine.run_words import outcomeOf
from .segmentation_job import loadResult, removeFiles, resultNode

OnFinished = Callable[[slicer.vtkMRMLSegmentationNode | None, str | None], None]

# Qt lets a timer without an owner go; a script that drops its logic still gets its result.
_followers: set[RunFollower] = set()


def followSegmentation(
    run: RunFolder, onFinished: OnFinished | None = None, onState: Callable[[RunState], None] | None = None
) -> RunFollower:
    """Load the run's result into the scene when it has ended; then call `onFinished(node, None)`, or
    `onFinished(None, sentence)` if there is none. `onState` is called at each look before that.

    Any number may follow one run: whoever looks first loads the result, the others find it.
    """

    def look(state: RunState) -> None:
        if state.status == "stopping" and stopPatienceIsOver(run):
            # A process that is not proven to be the run's is left alone; whoever presses "Stop now" is told so.
            with contextlib.suppress(UserInputError):
                run.kill()
        if onState is not None:
            onState(state)
        if state.over:
            _followers.discard(follower)
            node, error = _outcome(run, state)
            if onFinished is not None:
                onFinished(node, error)

    follower = RunFollower(run, look)
    _followers.add(follower)
    follower.start()
    return follower


def isFollowed(run: RunFolder) -> bool:
    """Whether somebody waits for this run's result."""
    return any(follower.run.path == run.path for follower in _followers)


def stopFollowing(follower: RunFollower) -> None:
    """Look no more; the run goes on and can be followed again."""
    follower.release()
    _followers.discard(follower)


def _outcome(run: RunFolder, state: RunState) -> tuple[slicer.vtkMRMLSegmentationNode | None, str | None]:
    if state.status != "finished":
        # One that only seems lost may still give its result.
        if state.status != "lost":
            removeFiles(run)
        return None, outcomeOf(state)
    try:
        with in_sentences():
            return resultNode(run) or loadResult(run), None
    except UserInputError as error:
        return None, str(error)
