"""The checkpoints of a fold: when each is written, and which one a training goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from ..errors import UserInputError
from ..networks import describe_checkpoint
from ..progress import Reporter
from .distributed import Ranks
from .resume_gate import PLACE
from .resume_record import ResumeRecord
from .state import TrainingState
from .task import TrainingTask

SHARE_OF_TIME = 0.05
"""What writing `latest` may cost of a training's time. An epoch that takes longer than 20 writings is kept at its end;
of shorter ones, as many go by as make up for one."""


class FoldCheckpoints:
    """`latest` to go on from, `best` by the Dice seen while training, `final` when it is done.

    Each holds a whole training, so any of them can be gone on from. The furthest one of the latest training is: see
    `newest`. In a distributed run the main process alone writes.
    """

    def __init__(self, task: TrainingTask, ranks: Ranks, reporter: Reporter) -> None:
        self._task, self._ranks, self._reporter = task, ranks, reporter
        self._kept: str | None = None
        self._latest_ended, self._latest_seconds = float("-inf"), 0.0
        self._is_alone = False
        self._finished: tuple[int, int] | None = None

    def newest(self) -> tuple[Path, Mapping[str, Any]] | None:
        """The checkpoint to go on from and what it says; None if there is none.

        Every training of a fold has a number, one above that of any checkpoint it found there. Of the latest training
        the furthest checkpoint is taken, whatever its name and the time of its file: `best` or `final`, if a kill came
        before what else its epoch would have written or removed; `latest`, if a training was begun beside the final
        checkpoint of another.

        Raises:
            UserInputError: one cannot be read.
        """
        described = [(path, describe_checkpoint(path, PLACE)) for path in self._existing("final", "latest", "best")]
        return max(described, key=lambda found: _place(found[1]), default=None)

    @property
    def is_finished(self) -> bool:
        """Whether what was resumed is a training's final checkpoint."""
        return self._finished is not None

    def begin(self, state: TrainingState) -> None:
        """Number a training that starts anew. What former ones wrote stays until it has written in its turn."""
        state.training = 1 + max(map(self._training_of, self._existing("final", "latest", "best")), default=0)

    def go_on(self, state: TrainingState, path: Path) -> None:
        """What a training that was resumed from `path` has on the disk already."""
        self._kept = _words(state)
        if path == self._task.checkpoint("final"):
            self._finished = (state.epoch, state.iteration)

    def after_epoch(self, state: TrainingState, is_last: bool) -> None:
        """What the end of an epoch asks for. `best` comes first: `latest` knows of it, not the other way round.

        Args:
            is_last: whether the final one follows.

        Raises:
            UserInputError: the disk refuses the first one of a training; later ones are tried again after the next
                epoch, with a warning.
        """
        former = state.best_ema
        if state.ema_dice is not None and (former is None or state.ema_dice > former):
            state.best_ema = state.ema_dice
            if not self._save_or_warn("best", state):
                state.best_ema = former
        if not is_last and self._is_due(state):
            self._save_or_warn("latest", state)

    def stop(self, state: TrainingState) -> str:
        """Write the latest one, and say what is kept.

        Raises:
            UserInputError: the disk refuses it.
        """
        if not self._task.checkpoints:
            return "nothing is kept, as no checkpoints were wanted"
        try:
            self.save("latest", state)
        except UserInputError as error:
            raise UserInputError(f"{error} Training has stopped; {self.kept()}.") from error
        return "everything learned so far is kept, resume to go on"

    def finish(self, state: TrainingState) -> Path:
        """Write the final one, which takes the place of the latest, if it does not stand there already.

        Raises:
            UserInputError: the disk refuses it.
        """
        try:
            if self._finished != (state.epoch, state.iteration):
                self.save("final", state)
        except UserInputError as error:
            raise UserInputError(f"{error} Training is done; {self.kept()}.") from error
        if self._ranks.is_main:
            self._remove_former(state.training)
            self._task.checkpoint("latest").unlink(missing_ok=True)
        return self._task.checkpoint("final")

    def save(self, name: str, state: TrainingState) -> None:
        """Write one; all but the final one only where the task wants them.

        Raises:
            UserInputError: the disk refuses it; the former checkpoint stays.
        """
        if not self._ranks.is_main or not (self._task.checkpoints or name == "final"):
            return
        started = monotonic()
        state.save(self._task.checkpoint(name), self._task)
        if name == "latest":
            self._latest_ended = monotonic()
            self._latest_seconds = self._latest_ended - started
        self._kept = _words(state)
        self._reporter.event("checkpoint", name=name, epoch=state.epoch)
        if name != "best":
            self._remove_former(state.training)

    def kept(self) -> str:
        """What of this training is on the disk, in words."""
        if self._kept is None:
            return "no checkpoint of it has been written"
        return f"its state {self._kept} is kept, to resume from"

    def _is_due(self, state: TrainingState) -> bool:
        if state.epoch % self._task.recipe.checkpoint_every == 0:
            return True
        return (monotonic() - self._latest_ended) * SHARE_OF_TIME >= self._latest_seconds

    def _save_or_warn(self, name: str, state: TrainingState) -> bool:
        try:
            self.save(name, state)
        except UserInputError as error:
            if self._kept is None:
                raise
            message = f"{error} Training goes on and tries again after the next epoch; {self.kept()}."
            self._reporter.event("warning", message=message)
            return False
        return True

    def _remove_former(self, training: int) -> None:
        """`best` and `latest` of a former training would pass for those of this one."""
        if self._is_alone:
            return
        self._is_alone = True
        for path in self._existing("latest", "best"):
            if self._training_of(path) < training:
                path.unlink(missing_ok=True)

    def _training_of(self, path: Path) -> int:
        try:
            return ResumeRecord.from_entry(describe_checkpoint(path, PLACE)).training
        except UserInputError:
            # Who starts anew need not be able to read what he replaces.
            return 0

    def _existing(self, *names: str) -> list[Path]:
        return [path for path in map(self._task.checkpoint, names) if path.is_file()]


def _place(content: Mapping[str, Any]) -> tuple[int, int, int]:
    record = ResumeRecord.from_entry(content)
    return record.training, content["current_epoch"], record.iteration


def _words(state: TrainingState) -> str:
    return f"after epoch {state.epoch}" + (f" and {state.iteration} steps" if state.iteration else "")
