"""What a training tells while it runs: how far it is, and what each epoch came to."""

from __future__ import annotations

import math
import time

from ..progress import Reporter
from .course import Course
from .epoch_log import EpochLog
from .recipe import Recipe
from .state import TrainingState

REPORT_EVERY_S = 2.0


class TrainingReports:
    """The events of one run of a training."""

    def __init__(self, reporter: Reporter, recipe: Recipe, course: Course) -> None:
        self._reporter, self._recipe, self._course = reporter, recipe, course
        self._pace_from: tuple[int, float] | None = None
        self._last = 0.0

    def step(self, state: TrainingState) -> None:
        """After a step: how far the training is, every few seconds."""
        now = time.monotonic()
        if now - self._last <= REPORT_EVERY_S:
            return
        self._last = now
        done = state.epoch * self._recipe.iterations_per_epoch + state.iteration
        total = self._course.epochs(state) * self._recipe.iterations_per_epoch
        if self._pace_from is None:
            # The first step also pays for warming up: the pace is measured from its end.
            self._pace_from = (done, now)
            return
        first, started = self._pace_from
        eta = self._course.seconds_left()
        if eta is None:
            eta = (now - started) / (done - first) * (total - done)
        self._reporter.event("progress", stage="training", done=done, total=total, unit="step", eta_s=round(eta, 1))

    def epoch(self, state: TrainingState, log: EpochLog, seconds: float) -> None:
        """After an epoch: its curves' newest points."""
        self._reporter.event(
            "epoch",
            epoch=state.epoch,
            epochs=max(state.epoch, self._course.epochs(state)),
            train_loss=log.train_loss,
            val_loss=log.val_loss,
            dice=[None if math.isnan(value) else value for value in log.dice],
            ema_dice=log.ema_dice,
            learning_rate=log.learning_rate,
            seconds=round(seconds, 3),
        )
