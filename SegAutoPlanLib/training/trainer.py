"""The training loop: read it from `train_fold` down."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.nn import SyncBatchNorm
from torch.nn.parallel import DistributedDataParallel

from ..errors import StopRequested, UserInputError
from ..losses import build_loss
from ..losses.deep_supervision import DeepSupervision
from ..networks import UNet, build_network, load_pretrained
from ..networks.device import choose_device
from ..number_format import FULL_PRECISION
from ..progress import SILENT, Reporter
from .augmentation_presets import AUGMENTATIONS
from .batches import BatchStream, LoaderDied, batch_order
from .benchmark import RESULT_FILE, RandomBatch, write_benchmark
from .checkpoints import FoldCheckpoints
from .course import Course, EpochCourse, TimedCourse, iterations_for, timed_recipe
from .distributed import ALONE, OverRanks, Ranks
from .epoch_log import EpochLog
from .freezing import freeze, require_weights_to_keep
from .metrics import confusion_counts, dice_of_counts, mean_of_known, moving_average
from .recipe import Recipe
from .rehearsal import rehearse
from .resume_record import ResumeRecord
from .same_training import require_same_training, resumed_message
from .samples import SampleSource
from .sampling import positions_of_rank
from .state import NotFinite, Timed, TrainingState
from .step import TrainingStep
from .task import TrainingTask
from .time_budget import Pace, fit_into, require_enough, words_of
from .training_reports import TrainingReports, report_start

VALIDATION_SEED_OFFSET = 1_000_003
"""Validation patches come from a stream of their own."""


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
    return _Training(task, device, ranks, reporter if ranks.is_main else _Follower(reporter)).run()


class _Follower(Reporter):
    """A process of a distributed run that does not lead: it says nothing, but hears a stop."""

    def __init__(self, leader: Reporter) -> None:
        self.stop_requested = leader.stop_requested


def _normalized_over_ranks(network: UNet, device: torch.device, recipe: Recipe) -> UNet:
    if device.type != "cuda":
        raise UserInputError(
            f"--recipe {recipe.name}: normalises over the batch, which several processes can only do on GPUs; "
            "train in one process, or with another recipe."
        )
    return torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)


class _Training:
    """One run of `train_fold`: what stays the same in every epoch."""

    def __init__(self, task: TrainingTask, device: torch.device, ranks: Ranks, reporter: Reporter) -> None:
        self.task, self.device, self.ranks, self.reporter = task, device, ranks, reporter
        self.recipe = task.recipe
        torch.manual_seed(task.seed)
        network = build_network(task.configuration.architecture, task.channels, task.label_scheme.head_count).to(device)
        network.deep_supervision = self.recipe.deep_supervision
        freeze(network, self.recipe.freeze)
        self.state = TrainingState.fresh(network, self.recipe, device, task.number_format)
        over_ranks = OverRanks() if ranks.world > 1 else None
        loss = DeepSupervision(
            build_loss(self.recipe.loss, task.label_scheme, task.configuration.batch_dice, over_ranks)
        )
        if ranks.world > 1 and self.recipe.normalization == "batch":
            network = _normalized_over_ranks(network, device, self.recipe)
        model = network
        if ranks.world > 1:
            if device.type == "cuda":
                # Of batch normalisation, if there is any: over the whole batch, for which torch has no way on a CPU.
                SyncBatchNorm.convert_sync_batchnorm(network)
            # Without deep supervision the lower heads get no gradient, which the processes must not wait for.
            model = DistributedDataParallel(network, find_unused_parameters=not self.recipe.deep_supervision)
        self.step = TrainingStep(model, self.state, loss, self.recipe, task.label_scheme, device)
        self.checkpoints = FoldCheckpoints(task, ranks, reporter)

    def run(self) -> Path:
        start = self._resume_or_start()
        try:
            self.course = self._set_course()
        except NotFinite as error:
            raise UserInputError(self._went_wrong()) from error
        self.reports = TrainingReports(
            self.reporter, self.task, self.recipe, self.course, self.device, writes=self.ranks.is_main
        )
        self.reports.started(self.state, start)
        with self._batches() as batches:
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

    def _set_course(self) -> Course:
        """To the recipe's epochs, or, with a budget or from a checkpoint that had one, until the time is up."""
        if self.task.budget is None and self.state.timed is None:
            return EpochCourse(self.recipe)
        if self.task.budget is None and self.checkpoints.is_finished:
            # Its time is up: there is nothing to learn in what was left for the validation.
            return EpochCourse(replace(self.recipe, epochs=self.state.epoch))
        started = time.monotonic()
        pace = rehearse(self.step, self.state, self.task, self._local_batch_size())
        pace = Pace(*map(self.ranks.of_main, (pace.step_s, pace.tile_s)))
        state, budget = self.state, self.task.budget
        left = state.timed.left_s if budget is None else self.ranks.of_main(budget.ends - time.monotonic())
        fit = fit_into(left, pace, self.task.validation_tiles)
        if budget is not None:
            require_enough(budget.minutes, left, fit, pace)
            spent = state.seconds_trained
            # Not fewer than an epoch has had already that was begun without a budget.
            chosen = max(iterations_for(fit.steps), state.iteration)
            iterations = state.timed.iterations_per_epoch if state.timed else chosen
            state.timed = Timed(spent / (spent + left), fit.steps, iterations, spent, left)
        self.recipe = timed_recipe(self.recipe, fit.steps, state.timed.iterations_per_epoch)
        self.reporter.event("budget", message=words_of(fit, pace), steps=round(fit.steps), step_s=round(pace.step_s, 4))
        ends = (budget.ends if budget is not None else started + left) - fit.reserve_s
        return TimedCourse(self.recipe, self.ranks, ends, fit.reserve_s, pace.step_s, time.monotonic)

    def _local_batch_size(self) -> int:
        return len(positions_of_rank(self.task.configuration.batch_size, self.ranks.rank, self.ranks.world))

    def _finish_benchmark(self) -> Path:
        if self.ranks.is_main:
            write_benchmark(self.task.fold_folder, self.state.log, self.device, self.ranks)
        return self.task.fold_folder / RESULT_FILE

    def _batches(self) -> BatchStream | RandomBatch:
        """Every batch from where the training stands to its end; each epoch takes its own."""
        task, recipe, state = self.task, self.recipe, self.state
        if recipe.benchmark == "without_loading":
            return RandomBatch(task, self.device, self.ranks)
        training = SampleSource(
            folder=task.preprocessed,
            identifiers=task.training_cases,
            configuration=task.configuration,
            oversample_foreground=recipe.oversample_foreground,
            augmentation=recipe.augmentation,
            mirror_axes=task.mirror_axes,
            seed=task.seed,
            oversampling=recipe.oversampling,
            previous_stage=task.previous_stage,
            previous_labels=task.label_scheme.foreground_labels if task.previous_stage else (),
        )
        validation = replace(
            training,
            identifiers=task.validation_cases or task.training_cases,
            augmentation="none",
            mirror_axes=(),
            seed=task.seed + VALIDATION_SEED_OFFSET,
        )
        on_gpu = self.device.type == "cuda"
        return BatchStream(
            (training, validation),
            batch_order(self.course.order_of(recipe), state.epoch, state.iteration),
            task.workers,
            pin_memory=on_gpu,
            rank=self.ranks.rank,
            world=self.ranks.world,
            augments_on=self.device if on_gpu and AUGMENTATIONS[recipe.augmentation].suits_a_gpu else None,
            warn=lambda sentence: self.reporter.event("warning", message=sentence),
        )

    def _resume_or_start(self) -> str:
        """What to say of weights that come from another training, if they do."""
        start = ""
        if self.task.resume:
            if (newest := self.checkpoints.newest()) is not None:
                self._resume(*newest)
                return start
            self.reporter.event("warning", message="There is no checkpoint to continue from; training starts anew.")
        self.checkpoints.begin(self.state)
        if (source := self.task.pretrained) is not None:
            taken = load_pretrained(
                self.state.network, source, self.task.dataset_json.channel_names, self.task.label_scheme
            )
            start = report_start(self.reporter, source, taken)
        else:
            require_weights_to_keep(self.recipe.freeze)
        if (final := self.task.checkpoint("final")).is_file() and self.ranks.is_main:
            self.reporter.event("warning", message=f"{final} will be replaced when training ends.")
        return start

    def _resume(self, path: Path, content: Mapping[str, Any]) -> None:
        longest = sys.maxsize
        any_length = replace(self.recipe, epochs=longest, iterations_per_epoch=longest)
        self.state.load(path, self.recipe if self.task.budget is None else any_length)
        if self.task.full_precision:
            self.state.compute_in(FULL_PRECISION)
        require_same_training(content, self.task, path)
        self.checkpoints.go_on(self.state, path)
        self.reporter.event("resumed", message=resumed_message(content, self.task))
        if ResumeRecord.from_entry(content).recipe is None:
            message = f"{path} does not say its recipe and seed; training goes on with those of this call."
            self.reporter.event("warning", message=message)

    def _epoch(self, batches: BatchStream) -> None:
        state = self.state
        epoch_started, wall_started = time.monotonic(), time.time()
        self.course.begin_epoch(state)
        learning_rate = self.course.learning_rate(state)
        is_whole = self._train_epoch(batches)
        if not state.losses:
            # The time was up while the first batch was waited for: there is nothing to tell of such an epoch.
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
