"""The training loop: read it from `train_fold` down."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ..errors import StopRequested, UserInputError
from ..losses import build_loss
from ..losses.deep_supervision import DeepSupervision
from ..networks import build_network, load_pretrained
from ..networks.device import choose_device
from ..progress import SILENT, Reporter
from .batches import BatchStream, batch_order
from .distributed import ALONE, Ranks, SumOverRanks
from .epoch_log import EpochLog
from .metrics import confusion_counts, dice_of_counts, mean_of_known, moving_average
from .samples import SampleSource
from .schedules import learning_rate_at
from .state import TrainingState
from .targets import full_resolution_target, supervision_targets
from .task import TrainingTask

REPORT_EVERY_S = 2.0
VALIDATION_SEED_OFFSET = 1_000_003
"""Validation patches come from a stream of their own."""


def train_fold(task: TrainingTask, reporter: Reporter = SILENT, ranks: Ranks = ALONE) -> Path:
    """Train one fold and return the path of its final checkpoint.

    `reporter.stop_requested()` is asked at every step; a stop writes `checkpoint_latest.pth`, from which the same call
    with `resume` goes on as if nothing had happened.

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


class _Training:
    """One run of `train_fold`: what stays the same in every epoch."""

    def __init__(self, task: TrainingTask, device: torch.device, ranks: Ranks, reporter: Reporter) -> None:
        self.task, self.device, self.ranks, self.reporter = task, device, ranks, reporter
        self.recipe = task.recipe
        self._pace_from: tuple[int, float] | None = None
        torch.manual_seed(task.seed)
        network = build_network(task.configuration.architecture, task.channels, task.label_scheme.head_count).to(device)
        network.deep_supervision = self.recipe.deep_supervision
        self.state = TrainingState.fresh(network, self.recipe, device)
        over_ranks = SumOverRanks.apply if ranks.world > 1 else None
        self.loss = DeepSupervision(
            build_loss(self.recipe.loss, task.label_scheme, task.configuration.batch_dice, over_ranks)
        )
        self.model = network
        if ranks.world > 1:
            # Without deep supervision the lower heads get no gradient, which the processes must not wait for.
            self.model = DistributedDataParallel(network, find_unused_parameters=not self.recipe.deep_supervision)

    def run(self) -> Path:
        self._resume_or_start()
        with self._batches() as batches:
            while self.state.epoch < self.recipe.epochs:
                self._epoch(batches)
        self._save("final")
        if self.ranks.is_main and self.task.checkpoints:
            self.task.checkpoint("latest").unlink(missing_ok=True)
        return self.task.checkpoint("final")

    def _batches(self) -> BatchStream:
        """Every batch from where the training stands to its end; each epoch takes its own."""
        task, recipe, state = self.task, self.recipe, self.state
        training = SampleSource(
            folder=task.preprocessed,
            identifiers=task.training_cases,
            configuration=task.configuration,
            oversample_foreground=recipe.oversample_foreground,
            augmentation=recipe.augmentation,
            mirror_axes=task.mirror_axes,
            seed=task.seed,
            previous_stage=task.previous_stage,
            previous_labels=task.label_scheme.foreground_labels,
        )
        validation = replace(
            training,
            identifiers=task.validation_cases or task.training_cases,
            augmentation="none",
            mirror_axes=(),
            seed=task.seed + VALIDATION_SEED_OFFSET,
        )
        return BatchStream(
            (training, validation),
            batch_order(recipe, state.epoch, state.iteration),
            task.workers,
            pin_memory=self.device.type == "cuda",
            rank=self.ranks.rank,
            world=self.ranks.world,
        )

    def _resume_or_start(self) -> None:
        if self.task.resume:
            if (newest := self._newest_checkpoint()) is not None:
                self.state.load(newest, self.recipe)
                self.reporter.event("resumed", message=f"Continuing after epoch {self.state.epoch}.")
                return
            self.reporter.event("warning", message="There is no checkpoint to continue from; training starts anew.")
        elif self.task.pretrained is not None:
            load_pretrained(self.state.network, self.task.pretrained)
            self.reporter.event("pretrained", message=f"Starting from the weights of {self.task.pretrained}.")
        elif (final := self.task.checkpoint("final")).is_file() and self.ranks.is_main:
            self.reporter.event("warning", message=f"{final} will be replaced when training ends.")

    def _newest_checkpoint(self) -> Path | None:
        """Of final and latest the one written last (a new training may have been stopped beside an old final one);
        best, which lags behind, only where there is neither."""
        ends = [path for path in map(self.task.checkpoint, ("final", "latest")) if path.is_file()]
        best = self.task.checkpoint("best")
        return max(ends, key=lambda path: path.stat().st_mtime, default=best if best.is_file() else None)

    def _epoch(self, batches: BatchStream) -> None:
        state, recipe = self.state, self.recipe
        epoch_started, wall_started = time.monotonic(), time.time()
        learning_rate = learning_rate_at(recipe, state.epoch)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate
        self._train_epoch(batches)
        train_loss = self._mean_over_ranks(state.losses)
        val_loss, dice = self._validate(batches)
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
        state.finish_epoch(log)
        self._report_epoch(log, time.monotonic() - epoch_started)
        if state.epoch % recipe.checkpoint_every == 0 and state.epoch < recipe.epochs:
            self._save("latest")
        if state.ema_dice is not None and (state.best_ema is None or state.ema_dice > state.best_ema):
            state.best_ema = state.ema_dice
            self._save("best")

    def _train_epoch(self, batches: BatchStream) -> None:
        state, recipe = self.state, self.recipe
        self.model.train()
        offset = state.epoch * recipe.iterations_per_epoch
        last_report = 0.0
        for images, labels in islice(batches, recipe.iterations_per_epoch - state.iteration):
            if self.ranks.any_rank(self.reporter.stop_requested()):
                self._stop()
            state.losses.append(self._step(images, labels))
            state.iteration += 1
            if time.monotonic() - last_report > REPORT_EVERY_S:
                last_report = time.monotonic()
                self._report_progress(offset + state.iteration)

    def _step(self, images: Tensor, labels: Tensor) -> float:
        state = self.state
        state.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            loss, _, _ = self._forward(images, labels)
        if state.scaler is None:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
            state.optimizer.step()
        else:
            state.scaler.scale(loss).backward()
            state.scaler.unscale_(state.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
            state.scaler.step(state.optimizer)
            state.scaler.update()
        return float(loss.detach())

    def _forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, full-resolution logits, full-resolution target."""
        scheme = self.task.label_scheme
        target = full_resolution_target(labels.to(self.device, non_blocking=True), scheme)
        outputs = self.model(images.to(self.device, non_blocking=True))
        if not self.recipe.deep_supervision:
            outputs = [outputs]
        targets = supervision_targets(target, scheme, [output.shape[2:] for output in outputs])
        return self.loss(outputs, targets), outputs[0], target

    @torch.no_grad()
    def _validate(self, batches: BatchStream) -> tuple[float, list[float]]:
        """Mean loss, and Dice per foreground class, of the epoch's validation batches."""
        self.model.eval()
        losses: list[float] = []
        counts = torch.zeros(3, len(self.task.label_scheme.foreground), dtype=torch.float64)
        for images, labels in islice(batches, self.recipe.validation_iterations):
            with self._autocast():
                loss, logits, target = self._forward(images, labels)
            losses.append(float(loss))
            counts += confusion_counts(logits, target, self.task.label_scheme)
        counts = self.ranks.sum(counts.to(self.device)) if self.device.type != "mps" else counts
        return self._mean_over_ranks(losses), dice_of_counts(counts)

    def _stop(self) -> None:
        self._save("latest")
        raise StopRequested(
            f"Stopped in epoch {self.state.epoch + 1} of {self.recipe.epochs}; "
            "everything learned so far is kept, resume to go on."
        )

    def _save(self, name: str) -> None:
        if not self.ranks.is_main or not (self.task.checkpoints or name == "final"):
            return
        self.state.save(self.task.checkpoint(name), self.task)
        self.reporter.event("checkpoint", name=name, epoch=self.state.epoch)

    def _autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast("cuda") if self.device.type == "cuda" else contextlib.nullcontext()

    def _mean_over_ranks(self, values: list[float]) -> float:
        total = self.ranks.sum(torch.tensor([sum(values), float(len(values))], device=self.device))
        return float(total[0] / total[1])

    def _report_epoch(self, log: EpochLog, seconds: float) -> None:
        self.reporter.event(
            "epoch",
            epoch=self.state.epoch,
            epochs=self.recipe.epochs,
            train_loss=log.train_loss,
            val_loss=log.val_loss,
            dice=[None if math.isnan(value) else value for value in log.dice],
            ema_dice=log.ema_dice,
            learning_rate=log.learning_rate,
            seconds=round(seconds, 3),
        )

    def _report_progress(self, done: int) -> None:
        total = self.recipe.epochs * self.recipe.iterations_per_epoch
        if self._pace_from is None:
            # The first step also pays for warming up: the pace is measured from its end.
            self._pace_from = (done, time.monotonic())
            return
        first, started = self._pace_from
        eta = (time.monotonic() - started) / (done - first) * (total - done)
        self.reporter.event("progress", stage="training", done=done, total=total, unit="step", eta_s=round(eta, 1))
