"""The batches of a whole training, loaded ahead by worker processes that live as long as it does."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from ..errors import UserInputError
from ..stop_signals import STOP_SIGNALS
from .recipe import Recipe
from .samples import PatchDataset, Sample, SampleSource
from .sampling import positions_of_rank

TRAINING, VALIDATION = 0, 1
"""The places of the two sources."""


def batch_order(recipe: Recipe, epoch: int = 0, iteration: int = 0) -> Iterator[tuple[int, int]]:
    """Source and number of each batch from there to the end: epoch after epoch, training before validation."""
    for number in range(epoch, recipe.epochs):
        for training in range(iteration, recipe.iterations_per_epoch):
            yield TRAINING, number * recipe.iterations_per_epoch + training
        iteration = 0
        for validation in range(recipe.validation_iterations):
            yield VALIDATION, number * recipe.validation_iterations + validation


class BatchStream:
    """One batch after the other: images (b, c, *patch) float32, labels (b, *patch) int16, -1 outside the image.

    Use as a context: the worker processes start with the first batch and end with the context, whatever ends it. They
    are two batches each ahead, over the ends of epochs too. With `workers` 0 a batch is made when it is asked for.

    Args:
        sources: of training and of validation.
        order: which source, and the batch's number there.
        rank, world: of a distributed run, whose processes share out each batch.
    """

    def __init__(
        self,
        sources: Sequence[SampleSource],
        order: Iterable[tuple[int, int]],
        workers: int = 0,
        pin_memory: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._loader = DataLoader(
            PatchDataset(sources),
            batch_sampler=_places(sources, order, rank, world),
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=pin_memory,
            # The same start method everywhere, and no fork of a process that holds a GPU.
            multiprocessing_context="spawn" if workers else None,
            worker_init_fn=_set_up_worker if workers else None,
        )
        self._batches: Iterator[Sample | UserInputError] | None = None

    def __enter__(self) -> BatchStream:
        return self

    def __exit__(self, _kind: object, _error: object, trace: TracebackType | None) -> None:
        # torch ends the workers with the last reference to their iterator: this one, or one in the frames of an error.
        self._batches = None
        traceback.clear_frames(trace)

    def __iter__(self) -> BatchStream:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """The next batch.

        Raises:
            UserInputError: a case cannot be read.
        """
        if self._batches is None:
            self._batches = iter(self._loader)
        batch = next(self._batches)
        if isinstance(batch, UserInputError):
            raise batch
        return batch


def _places(
    sources: Sequence[SampleSource], order: Iterable[tuple[int, int]], rank: int, world: int
) -> Iterator[list[tuple[int, int]]]:
    for which, number in order:
        batch_size = sources[which].configuration.batch_size
        positions = positions_of_rank(batch_size, rank, world)
        yield [(which, number * batch_size + position) for position in positions]


def _collate(samples: Sequence[Sample | UserInputError]) -> Sample | UserInputError:
    errors = [sample for sample in samples if isinstance(sample, UserInputError)]
    return errors[0] if errors else tuple(default_collate(list(samples)))


def _set_up_worker(_worker: int) -> None:
    torch.set_num_threads(1)
    # Ctrl-C and a scheduler's signals reach every process; the training answers them, and needs its batches until it
    # has. A worker ends with its stream, and torch has it end when the training's process is gone.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
