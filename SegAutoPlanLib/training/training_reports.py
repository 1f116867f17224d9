"""What a training tells while it runs: how far it is, what each epoch came to, and what does not look right.

To whoever listens go events; to the fold's folder go a log, `progress.png` and `debug.json`. That these cannot be
written is told once and ends nothing.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

import torch

from ..errors import UserInputError, sentence_of
from ..models import PretrainedModel
from ..networks import Transfer
from ..progress import Reporter
from .course import Course
from .epoch_log import EpochLog
from .fold_records import TrainingLog, write_debug
from .progress_picture import FILE, picture_is_possible, write_picture
from .recipe import Recipe
from .state import TrainingState
from .task import TrainingTask
from .time_left import TimeLeft
from .warning_signs import Watched, signs_of

REPORT_EVERY_S = 2.0
DRAW_EVERY_S = 10.0
"""Drawing takes a quarter of a second, an epoch sometimes not much longer."""


def report_start(reporter: Reporter, source: PretrainedModel, taken: Transfer) -> str:
    """After the start from trained weights: which were taken and which are new; the sentence that says it."""
    words = f"Starting from the weights of {source.checkpoint}: {taken}."
    reporter.event(
        "pretrained",
        message=words,
        checkpoint=str(source.checkpoint),
        tensors=len(taken.taken),
        share=round(taken.share, 4),
        channels=taken.channels,
        heads=taken.heads,
        not_taken=list(taken.left),
    )
    return words


class TrainingReports:
    """All that one run of a training tells.

    Args:
        recipe: the task's, with the length that the training really has.
        writes: whether this process writes files; in a distributed run the main one does.
    """

    def __init__(
        self,
        reporter: Reporter,
        task: TrainingTask,
        recipe: Recipe,
        course: Course,
        device: torch.device,
        writes: bool = True,
    ) -> None:
        self._reporter, self._task, self._recipe, self._course = reporter, task, recipe, course
        self._device, self._writes = device, writes
        scheme = task.label_scheme
        self._classes = [scheme.name_of(label) for label in scheme.foreground]
        self._time_left = TimeLeft(recipe, task.validation_tiles / task.configuration.batch_size)
        self._log = TrainingLog(task.fold_folder)
        self._last_step_report = self._last_picture = -math.inf
        self._working_s = self._waiting_s = 0.0
        self._told: set[str] = set()

    def started(self, state: TrainingState, start: str = "") -> None:
        """Before the first step; `start` says which weights it begins with, where they are others' (`report_start`)."""
        if not self._writes:
            return
        with self._or_a_warning():
            write_debug(self._task.fold_folder, self._task, str(self._device))
            self._log.say(f"{self._task.recipe.name}, {self._course.epochs(state)} epochs, on {self._device}")
            if start:
                self._log.say(start)
            if state.epoch:
                self._log.say(f"Continuing after epoch {state.epoch}")
        if not picture_is_possible():
            self._once(
                "picture",
                f"{FILE} is not drawn, because the Python package matplotlib is not installed.",
                "pip install matplotlib; the curves are in the checkpoints and in the log all the same.",
            )

    def step(self, state: TrainingState, waiting_s: float, working_s: float) -> None:
        """After a step: how far the training is, every few seconds.

        Args:
            waiting_s: until its batch was there.
            working_s: what the network took.
        """
        self._waiting_s += waiting_s
        self._working_s += working_s
        self._time_left.stepped(waiting_s + working_s)
        now = time.monotonic()
        if now - self._last_step_report <= REPORT_EVERY_S:
            return
        self._last_step_report = now
        epochs = self._course.epochs(state)
        eta = self._course.seconds_left()
        if eta is None:
            eta = self._time_left.seconds(state.epoch, state.iteration, epochs)
        self._reporter.event(
            "progress",
            stage="training",
            done=state.epoch * self._recipe.iterations_per_epoch + state.iteration,
            total=epochs * self._recipe.iterations_per_epoch,
            unit="step",
            eta_s=None if eta is None else round(eta, 1),
        )

    def epoch(self, state: TrainingState, log: EpochLog, seconds: float) -> None:
        """After an epoch: its curves' newest points, and what does not look right about them."""
        self._time_left.validated(max(seconds - self._working_s - self._waiting_s, 0.0))
        self._reporter.event(
            "epoch",
            epoch=state.epoch,
            epochs=max(state.epoch, self._course.epochs(state)),
            train_loss=_known(log.train_loss),
            val_loss=_known(log.val_loss),
            dice=[_known(value) for value in log.dice],
            ema_dice=log.ema_dice,
            learning_rate=log.learning_rate,
            seconds=round(seconds, 3),
        )
        watched = Watched(
            log=state.log,
            classes=self._classes,
            iterations_per_epoch=self._recipe.iterations_per_epoch,
            working_s=self._working_s,
            waiting_s=self._waiting_s,
            memory_share=_memory_share(self._device),
        )
        self._working_s = self._waiting_s = 0.0
        for sign in signs_of(watched):
            self._once(sign.name, sign.message, sign.hint)
        if self._writes:
            self._record(state, log)

    def ended(self, state: TrainingState) -> None:
        """After the last epoch, or the last before a stop."""
        if self._writes and state.log:
            with self._or_a_warning():
                self._draw(state)

    def _record(self, state: TrainingState, log: EpochLog) -> None:
        former = [epoch.ema_dice for epoch in state.log[:-1] if epoch.ema_dice is not None]
        is_best = log.ema_dice is not None and log.ema_dice > max(former, default=-math.inf)
        with self._or_a_warning():
            self._log.epoch(state.epoch - 1, log, is_best)
            if time.monotonic() - self._last_picture > DRAW_EVERY_S:
                self._draw(state)

    def _draw(self, state: TrainingState) -> None:
        if picture_is_possible():
            write_picture(self._task.fold_folder / FILE, state.log, self._classes)
            self._last_picture = time.monotonic()

    @contextlib.contextmanager
    def _or_a_warning(self) -> Iterator[None]:
        try:
            yield
        except (UserInputError, OSError) as error:
            self._once("records", f"{sentence_of(error) or error} The training goes on without.")

    def _once(self, name: str, message: str, hint: str | None = None) -> None:
        """A warning that is not repeated with every epoch."""
        if name in self._told:
            return
        self._told.add(name)
        self._reporter.event("warning", message=message, **({"hint": hint} if hint else {}))
        if self._writes and name != "records":
            with self._or_a_warning():
                self._log.say(f"Warning: {message} {hint or ''}")


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _memory_share(device: torch.device) -> float:
    if device.type != "cuda":
        return 0.0
    free, total = torch.cuda.mem_get_info(device)
    return 1 - free / total
