"""The training loop: read it from `train_fold` down."""

from __future__ import annotations

import math
import time
from itertools import islice
from pathlib import Path

import torch

from ..errors import StopRequested, UserInputError
from ..networks.device import choose_device
from ..progress import SILENT, Reporter
from .batches import BatchStream, LoaderDied
from .benchmark import RESULT_FILE, write_benchmark
from .checkpoints import FoldCheckpoints
from .course import set_course
from .distributed import ALONE, Ranks
from .epoch_log import EpochLog
from .fold_batches import fold_batches
from .metrics import confusion_counts, dice_of_counts, mean_of_known, moving_average
from .new_training import new_state, new_step
from .requirements import memory_in_a_sentence
from .start import resume_or_start
from .state import NotFinite
from .task import TrainingTask
from .training_reports import TrainingReports


def train_fold(task: TrainingTask, reporter: Reporter = SILENT, ranks: Ranks = ALONE) -> Path:
    """Train one fold and return the path of its final checkpoint, or of a benchmark's result.

    `reporter.stop_requested()` is asked at every step, of validation too; a stop writes `checkpoint_latest.pth`, from
    which the same call with `resume` goes on as if nothing had happened.

    Raises:
        StopRequested: after a stop was asked for and the checkpoint written.
        UserInputError: no cases, no such device, a checkpoint that does not fit.
    """
    if not task.training_cases:
        raise UserInputError(f"{task.preprocessed}: the fold has no training cases; check splits_final.json.")
    device = choose_device(task.device)
    if device.type == "cuda":
        device = torch.device("cuda", ranks.local_rank)
    with memory_in_a_sentence(task, device):
        return _Training(task, device, ranks, reporter if ranks.is_main else _Follower(reporter)).run()


class _Follower(Reporter):
    """A process of a distributed run that does not lead: it says nothing, but hears a stop."""

    def __init__(self, leader: Reporter) -> None:
        self.stop_requested = leader.stop_requested


class _Training:
    """One run of `train_fold`: what stays the same in every epoch."""

    def __init__(self, task: TrainingTask, device: torch.device, ranks: Ranks, reporter: Reporter) -> None:
        self.task, self.device, self.ranks, self.reporter = task, device, ranks, reporter
        torch.manual_seed(task.seed)
        self.state = new_state(task, device, task.number_format)
        self.step = new_step(task, self.state, device, ranks)
        self.checkpoints = FoldCheckpoints(task, ranks, reporter)

    def run(self) -> Path:
        start = resume_or_start(self.state, self.task, self.checkpoints, self.reporter, self.ranks)
        try:
            is_finished = self.checkpoints.is_finished
            self.course = set_course(self.step, self.state, self.task, is_finished, self.reporter, self.ranks)
        except NotFinite as error:
            raise UserInputError(self._went_wrong()) from error
        self.recipe = self.course.recipe
        self.reports = TrainingReports(
            self.reporter, self.task, self.recipe, self.course, self.device, writes=self.ranks.is_main
        )
        self.reports.started(self.state, start)
        with fold_batches(self.task, self.course, self.state, self.device, self.reporter, self.ranks) as batches:
            try:
                while not self.course.is_over(self.state):
                    self._epoch(batches)
            except NotFinite as error:
                raise UserInputError(self._went_wrong()) from error
            except LoaderDied:
                self.reports.ended(self.state)
                self.checkpoints.save("latest", self.state)
                raise
        self.reports.ended(self.state)
        if self.recipe.is_benchmark:
            return self._finish_benchmark()
        return self.checkpoints.finish(self.state)

    def _finish_benchmark(self) -> Path:
        if self.ranks.is_main:
            write_benchmark(self.task.fold_folder, self.state.log, self.device, self.ranks)
        return self.task.fold_folder / RESULT_FILE

    def _epoch(self, batches: BatchStream) -> None:
        state = self.state
        epoch_started, wall_started = time.monotonic(), time.time()
        self.course.begin_epoch(state)
        learning_rate = self.course.learning_rate(state)
        is_whole = self._train_epoch(batches)
        if not (is_whole or state.losses):
            # The time was up between the last epoch and this one, of which there is nothing to tell.
            return
        train_loss = self._mean_over_ranks(state.losses)
        # Where the time was up, the whole validation follows at once.
        val_loss, dice = self._validate(batches) if is_whole else (math.nan, [])
        mean_dice = mean_of_known(dice)
        log = EpochLog(
            mean_dice=mean_dice,
            ema_dice=moving_average(state.ema_dice, mean_dice),
            dice=tuple(dice),
            train_loss=train_loss,
            val_loss=val_loss,
            learning_rate=learning_rate,
            started=wall_started,
            ended=time.time(),
        )
        # Nothing is written over a good checkpoint once the network is spoilt.
        state.require_finite()
        state.finish_epoch(log)
        self.reports.epoch(state, log, time.monotonic() - epoch_started)
        self.checkpoints.after_epoch(state, is_last=self.course.epochs(state) <= state.epoch)

    def _train_epoch(self, batches: BatchStream) -> bool:
        """Whether the epoch came to its end before the training did."""
        state = self.state
        asked = time.perf_counter()
        for images, labels in islice(batches, self.recipe.iterations_per_epoch - state.iteration):
            given = time.perf_counter()
            if self.ranks.any_rank(self.reporter.stop_requested()):
                self._stop()
            if self.course.is_over(state):
                return False
            self._set_learning_rate(self.course.learning_rate(state))
            state.losses.append(self.step.train(images, labels))
            state.iteration += 1
            self.course.stepped(state)
            self.reports.step(state, given - asked, time.perf_counter() - given)
            asked = time.perf_counter()
        return True

    def _set_learning_rate(self, learning_rate: float) -> None:
        for group in self.state.optimizer.param_groups:
            group["lr"] = learning_rate

    def _validate(self, batches: BatchStream) -> tuple[float, list[float]]:
        """Mean loss, and Dice per foreground class, of the epoch's validation batches."""
        losses: list[float] = []
        counts = torch.zeros(3, len(self.task.label_scheme.foreground), dtype=torch.float64)
        for images, labels in islice(batches, self.recipe.validation_iterations):
            if self.ranks.any_rank(self.reporter.stop_requested()):
                # Whoever resumes validates this epoch from its beginning.
                self._stop()
            seen = self.step.evaluate(images, labels)
            losses.append(float(seen.loss))
            counts += confusion_counts(seen.logits, seen.target, self.task.label_scheme)
        counts = self.ranks.sum(counts.to(self.device)) if self.device.type != "mps" else counts
        return self._mean_over_ranks(losses), dice_of_counts(counts)

    def _stop(self) -> None:
        self.state.require_finite()
        # Each process has the losses of its part of the batches; who resumes has those of all.
        if self.state.losses:
            together = self.ranks.sum(torch.tensor(self.state.losses, dtype=torch.float64)) / self.ranks.world
            self.state.losses = together.tolist()
        self.reports.ended(self.state)
        kept = self.checkpoints.stop(self.state)
        raise StopRequested(f"Stopped in epoch {self.state.epoch + 1} of {self.course.epochs(self.state)}; {kept}.")

    def _went_wrong(self) -> str:
        return (
            f"{self.task.fold_folder}: in epoch {self.state.epoch + 1} the loss became infinite or not a number, and "
            f"training has stopped before it spoilt the network ({self.checkpoints.kept()}); train with a lower "
            "learning rate, or with --precision full, and look for cases with absurd intensities."
        )

    def _mean_over_ranks(self, values: list[float]) -> float:
        total = self.ranks.sum(torch.tensor([sum(values), float(len(values))], device=self.device))
        return float(total[0] / total[1])
