"""Batches of augmented patches, loaded ahead by worker processes where there are cores for them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..planning.plan import Configuration
from ..preprocessing import TrainingCase, open_training_case
from .augmentation import Augmentation, augmentation_geometry, centre_crop
from .sampling import Patch, draw_patch, must_hold_foreground

OPEN_CASES = 128
"""Cases kept memory-mapped a process; opening costs little, but not nothing."""


@dataclass(frozen=True)
class BatchSource:
    """What batches are made of. `rank` and `world` divide each batch among the processes of a distributed run."""

    folder: Path
    """The configuration's folder of preprocessed cases."""
    identifiers: tuple[str, ...]
    configuration: Configuration
    batch_size: int
    oversample_foreground: float
    augment: bool
    mirror: bool
    seed: int
    rank: int = 0
    world: int = 1

    @property
    def local_positions(self) -> range:
        """The places of the global batch that this process fills; the first processes take what does not divide."""
        share, rest = divmod(self.batch_size, self.world)
        start = self.rank * share + min(self.rank, rest)
        return range(start, start + share + (self.rank < rest))


class PatchDataset(Dataset):
    """Sample number i of the training: the number alone decides what it is."""

    def __init__(self, source: BatchSource) -> None:
        self._source = source
        configuration = source.configuration
        self._two_dimensional = len(configuration.patch_size) == 2
        self._geometry = augmentation_geometry(configuration.patch_size)
        self._augmentation: Augmentation | None = None
        self._open = functools.lru_cache(maxsize=OPEN_CASES)(self._open_case)

    def __getstate__(self) -> dict:
        # Worker processes started by spawn receive the dataset pickled; caches and transforms are made anew there.
        return {"_source": self._source}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["_source"])

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        source = self._source
        rng = np.random.default_rng((source.seed, number))
        case = self._open(source.identifiers[rng.integers(len(source.identifiers))])
        final = source.configuration.patch_size
        size = self._geometry.crop_size if source.augment else final
        forced = must_hold_foreground(number % source.batch_size, source.batch_size, source.oversample_foreground)
        patch = draw_patch(case, rng, self._three_axes(size), self._three_axes(final), forced)
        if self._two_dimensional:
            patch = Patch(patch.image[:, 0], patch.labels[0])
        patch = self._augment(patch, int(rng.integers(2**32))) if source.augment else centre_crop(patch, final)
        return torch.from_numpy(patch.image), torch.from_numpy(patch.labels)

    def _three_axes(self, size: tuple[int, ...]) -> tuple[int, ...]:
        return (1, *size) if self._two_dimensional else size

    def _augment(self, patch: Patch, seed: int) -> Patch:
        if self._augmentation is None:
            axes = tuple(range(len(self._geometry.patch_size))) if self._source.mirror else ()
            masked = tuple(c for c, use in enumerate(self._source.configuration.use_mask_for_norm) if use)
            self._augmentation = Augmentation(self._geometry, axes, masked)
        return self._augmentation(patch, seed)

    def _open_case(self, identifier: str) -> TrainingCase:
        return open_training_case(self._source.folder, identifier)


def batches(
    source: BatchSource, first: int, count: int, workers: int, pin_memory: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches number `first` … `first + count - 1` of this process: image (b, c, *patch), labels (b, *patch) int16.

    Labels outside the image are -1. With `workers` 0 the batches are made in this process when they are asked for.
    """
    numbers = [
        [batch * source.batch_size + position for position in source.local_positions]
        for batch in range(first, first + count)
    ]
    return iter(
        DataLoader(
            PatchDataset(source),
            batch_sampler=numbers,
            num_workers=workers,
            pin_memory=pin_memory,
            # The same start method everywhere, and no fork of a process that holds a GPU.
            multiprocessing_context="spawn" if workers else None,
            worker_init_fn=_one_thread if workers else None,
        )
    )


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
