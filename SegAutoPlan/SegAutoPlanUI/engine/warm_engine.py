"""The engine that stays ready between segmentations: the one process of this application that keeps a model loaded."""

from __future__ import annotations

from collections.abc import Sequence

import slicer

from SegAutoPlanLib.runs import RunFolder, WarmWorker
from SegAutoPlanLib.workspace import Workspace

from .engine_process import startEngine, workerSettings
from .poll_timer import PollTimer

KEEP_SECONDS_SETTING = "SegAutoPlan/keepEngineSeconds"
KEEP_SECONDS = 600.0
BUSY_MILLISECONDS = 50
IDLE_MILLISECONDS = 5000
"""Only to take note of a process that has ended by itself."""


class WarmEngine:
    """Starts runs in one process that stays, as long as there is something to watch, with a timer of Qt's."""

    def __init__(self) -> None:
        self._worker = WarmWorker()
        self._timer = PollTimer(self._look, BUSY_MILLISECONDS)

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self._worker.pid

    @property
    def isBusy(self) -> bool:
        """Whether a run is in work, or waits."""
        return self._worker.is_busy

    def start(self, arguments: Sequence[str], workspace: Workspace, name: str, keepSeconds: float) -> RunFolder:
        """Start one verb of the engine, after those that were started before; returns at once.

        Raises:
            UserInputError: the engine's Python cannot be started.
        """
        try:
            return self._worker.start_run(arguments, name, workerSettings(workspace, keepSeconds))
        finally:
            self._watch()

    def release(self) -> None:
        """Let the process go as soon as it has done what was started."""
        self._worker.release()
        self._watch()

    def close(self) -> None:
        """End the process now, and what it works on."""
        self._worker.close()
        self._watch()

    def _look(self) -> None:
        self._worker.poll()
        self._watch()

    def _watch(self) -> None:
        if self._worker.is_busy:
            self._timer.start(BUSY_MILLISECONDS)
        elif self._worker.pid is not None:
            self._timer.start(IDLE_MILLISECONDS)
        else:
            self._timer.stop()


def startWarmEngine(arguments: Sequence[str], workspace: Workspace, name: str) -> RunFolder:
    """Start one verb of the engine in the process that stays, or in one of its own where nothing is to be kept.

    Raises:
        UserInputError: the engine's Python cannot be started.
    """
    keepSeconds = keepEngineSeconds()
    if keepSeconds <= 0:
        return startEngine(arguments, workspace, name)
    return warmEngine().start(arguments, workspace, name, keepSeconds)


def keepEngineSeconds() -> float:
    """How long the process waits for the next segmentation: the application setting SegAutoPlan/keepEngineSeconds."""
    try:
        return float(slicer.util.settingsValue(KEEP_SECONDS_SETTING, KEEP_SECONDS))
    except (TypeError, ValueError):
        return KEEP_SECONDS


def warmEngine() -> WarmEngine:
    """The one of this application; after a reload the former one, until it has nothing more to do."""
    engine = getattr(slicer.modules, "SegAutoPlanWarmEngine", None)
    if engine is not None and not isinstance(engine, WarmEngine) and not engine.isBusy:
        engine.close()
        engine = None
    if engine is None:
        engine = slicer.modules.SegAutoPlanWarmEngine = WarmEngine()
    return engine
