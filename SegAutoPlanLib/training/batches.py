"""The batches of a whole training, loaded ahead by worker processes that live as long as it does."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from ..errors import UserInputError
from ..stop_signals import STOP_SIGNALS
from .recipe import Recipe
from .samples import PatchDataset, RawSample, Sample, SampleSource
from .sampling import positions_of_rank

TRAINING, VALIDATION = 0, 1
"""The places of the two sources."""
MAX_RESTARTS = 2
"""How often dead workers are replaced, the second time by half as many, before training ends."""
BATCHES_TO_FORGET_A_DEATH = 1000
SECONDS_TO_DIE = 2.0
"""From the first sign of a worker's death to its end."""
SIGNALS_OF_FULL_MEMORY = ("SIGKILL", "SIGBUS")
"""The system's answers when memory, or shared memory, runs out."""


def batch_order(recipe: Recipe, epoch: int = 0, iteration: int = 0) -> Iterator[tuple[int, int]]:
    """Source and number of each batch from there to the end: epoch after epoch, training before validation."""
    for number in range(epoch, recipe.epochs):
        for training in range(iteration, recipe.iterations_per_epoch):
            yield TRAINING, number * recipe.iterations_per_epoch + training
        iteration = 0
        for validation in range(recipe.validation_iterations):
            yield VALIDATION, number * recipe.validation_iterations + validation


class LoaderDied(UserInputError):
    """Processes that load batches died again and again."""


class BatchStream:
    """One batch after the other: images (b, c, *patch) float32, labels (b, *patch) int16, -1 outside the image.

    Use as a context: the worker processes start with the first batch and end with the context, whatever ends it. They
    are two batches each ahead, over the ends of epochs too. With `workers` 0 a batch is made when it is asked for.
    Where one dies, all are started anew from the batch that is due, and what comes is what would have come.

    Args:
        sources: of training and of validation.
        order: which source, and the batch's number there.
        augments_on: the device that changes the patches, and has them then; None is the worker processes.
        rank, world: of a distributed run, whose processes share out each batch.
        warn: is told in a sentence when workers had to be started anew.
    """

    def __init__(
        self,
        sources: Sequence[SampleSource],
        order: Iterable[tuple[int, int]],
        workers: int = 0,
        pin_memory: bool = False,
        rank: int = 0,
        world: int = 1,
        augments_on: torch.device | None = None,
        warn: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self._dataset = PatchDataset(sources, augments=augments_on is None)
        self._order = iter(order)
        self._due: deque[tuple[int, int]] = deque()
        self._share = (rank, world)
        self._workers, self._pin_memory, self._device, self._warn = workers, pin_memory, augments_on, warn
        self._batches: Iterator[Any] | None = None
        self._processes: list[BaseProcess] = []
        self._deaths = self._taken_since_death = 0

    def __enter__(self) -> BatchStream:
        return self

    def __exit__(self, _kind: object, _error: object, trace: TracebackType | None) -> None:
        self._end_workers(trace)

    def __iter__(self) -> BatchStream:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """The next batch.

        Raises:
            LoaderDied: worker processes died, and those that took their place did too.
            UserInputError: a case cannot be read.
        """
        batch = self._next_loaded()
        self._due.popleft()
        self._taken_since_death += 1
        if isinstance(batch, UserInputError):
            raise batch
        return batch if self._device is None else _augmented(batch, self._device)

    def _next_loaded(self) -> Any:
        while True:
            try:
                if self._batches is None:
                    self._start()
                if not (dead := self._dead()):
                    return next(self._batches)
                trace = None
            except StopIteration:
                self._processes = []  # They end now, and none is missed.
                raise
            except (RuntimeError, OSError, EOFError) as error:
                # Whatever is in the way of a batch when a worker is gone: a queue that ended, memory nobody holds.
                if not (dead := self._dead(within_s=SECONDS_TO_DIE)):
                    raise
                trace = error.__traceback__
            self._replace_workers(dead[0], trace)

    def _dead(self, within_s: float = 0) -> list[BaseProcess]:
        if not self._processes:
            return []
        ended = wait([process.sentinel for process in self._processes], within_s)
        return [process for process in self._processes if process.sentinel in ended]

    def _start(self) -> None:
        self._due, due = deque(), tuple(self._due)
        loader = DataLoader(
            self._dataset,
            batch_sampler=self._places(chain(due, self._order)),
            num_workers=self._workers,
            collate_fn=_collate,
            pin_memory=self._pin_memory,
            # The same start method everywhere, and no fork of a process that holds a GPU.
            multiprocessing_context="spawn" if self._workers else None,
            worker_init_fn=_set_up_worker if self._workers else None,
        )
        others = multiprocessing.active_children()
        with _without_signal_of_a_death():
            self._batches = iter(loader)
        self._processes = [process for process in multiprocessing.active_children() if process not in others]

    def _places(self, order: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        for which, number in order:
            self._due.append((which, number))
            batch_size = self._dataset.sources[which].configuration.batch_size
            yield [(which, number * batch_size + place) for place in positions_of_rank(batch_size, *self._share)]

    def _replace_workers(self, dead: BaseProcess, trace: TracebackType | None) -> None:
        reason = _reason_of_death(dead)
        self._end_workers(trace)
        self._deaths = 1 if self._taken_since_death >= BATCHES_TO_FORGET_A_DEATH else self._deaths + 1
        self._taken_since_death = 0
        if self._deaths > MAX_RESTARTS:
            raise LoaderDied(
                f"A process that loads batches {reason}, and so did {MAX_RESTARTS} before it; "
                "close other programs or train on a computer with more memory, then go on with --resume."
            )
        if self._deaths > 1:
            self._workers = max(1, self._workers // 2)
        self._warn(
            f"A process that loads batches {reason}; {self._workers} new one(s) go on from where it was. "
            "Nothing is lost, but if it happens often, close other programs."
        )

    def _end_workers(self, trace: TracebackType | None) -> None:
        # torch ends the workers with the last reference to their iterator: this one, or one in the frames of an error.
        self._batches, self._processes = None, []
        traceback.clear_frames(trace)


def _augmented(samples: Sequence[RawSample], device: torch.device) -> tuple[Tensor, Tensor]:
    images, labels = zip(*(sample.augmented(device) for sample in samples), strict=True)
    return torch.stack(images), torch.stack(labels)


@contextlib.contextmanager
def _without_signal_of_a_death() -> Iterator[None]:
    """torch has the death of a worker raised wherever the process happens to be, a training step or a save; here it
    is asked for instead."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None else before)


def _reason_of_death(process: BaseProcess) -> str:
    process.join(SECONDS_TO_DIE)
    code = process.exitcode
    if code is None or code >= 0:
        return f"ended by itself (exit code {code})"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        likely = ", probably because memory ran out" if name in SIGNALS_OF_FULL_MEMORY else ""
        return f"was ended by {name}{likely}"
    return f"was ended by signal {-code}"


def _collate(samples: Sequence[Sample | RawSample | UserInputError]) -> Sample | list[RawSample] | UserInputError:
    errors = [sample for sample in samples if isinstance(sample, UserInputError)]
    if errors:
        return errors[0]
    # Crops differ in size where some are only cut out and others turned.
    return list(samples) if isinstance(samples[0], RawSample) else tuple(default_collate(list(samples)))


def _set_up_worker(_worker: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C and a scheduler's signals reach every process; the training answers them, and needs its batches until it
    # has. A worker ends with its stream, and torch has it end when the training's process is gone.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
