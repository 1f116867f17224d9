"""The checkpoints of a fold: when each is written, and which one a training goes on from."""

from __future__ import annotations

from pathlib import Path

from ..progress import Reporter
from .distributed import Ranks
from .state import TrainingState
from .task import TrainingTask


class FoldCheckpoints:
    """`latest` to go on from, `best` by the Dice seen while training, `final` when it is done.

    In a distributed run the main process alone writes.
    """

    def __init__(self, task: TrainingTask, ranks: Ranks, reporter: Reporter) -> None:
        self._task, self._ranks, self._reporter = task, ranks, reporter

    def save(self, name: str, state: TrainingState) -> None:
        """Write one; all but the final one only where the task wants them."""
        if not self._ranks.is_main or not (self._task.checkpoints or name == "final"):
            return
        state.save(self._task.checkpoint(name), self._task)
        self._reporter.event("checkpoint", name=name, epoch=state.epoch)

    def after_epoch(self, state: TrainingState) -> None:
        """What the end of an epoch asks for."""
        recipe = self._task.recipe
        if state.epoch % recipe.checkpoint_every == 0 and state.epoch < recipe.epochs:
            self.save("latest", state)
        if state.ema_dice is not None and (state.best_ema is None or state.ema_dice > state.best_ema):
            state.best_ema = state.ema_dice
            self.save("best", state)

    def finish(self, state: TrainingState) -> Path:
        """Write the final one, which takes the place of the latest."""
        self.save("final", state)
        if self._ranks.is_main and self._task.checkpoints:
            self._task.checkpoint("latest").unlink(missing_ok=True)
        return self._task.checkpoint("final")

    def newest(self) -> Path | None:
        """Of final and latest the one written last (a new training may have been stopped beside an old final one);
        best, which lags behind, only where there is neither."""
        ends = [path for path in map(self._task.checkpoint, ("final", "latest")) if path.is_file()]
        best = self._task.checkpoint("best")
        return max(ends, key=lambda path: path.stat().st_mtime, default=best if best.is_file() else None)
