"""Augmented patches by their number: the number alone decides what a sample is."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from ..errors import FileError, UserInputError
from ..planning.plan import Configuration
from ..preprocessing import TrainingCase, open_training_case
from ..preprocessing.previous_stage import one_hot
from .augmentation import Augmentation, augmentation_geometry
from .augmentation_presets import AUGMENTATIONS
from .previous_stage import apply_label_noise, draw_label_noise
from .sampling import OVERSAMPLINGS, Patch, draw_patch

OPEN_CASES = 128
"""Cases kept memory-mapped per process; opening costs little, but not nothing."""

Sample = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class SampleSource:
    """What the samples of training, or those of validation, are made of."""

    folder: Path
    """The configuration's folder of preprocessed cases."""
    identifiers: tuple[str, ...]
    configuration: Configuration
    oversample_foreground: float
    augmentation: str
    """A name of augmentation_presets.AUGMENTATIONS."""
    mirror_axes: tuple[int, ...]
    seed: int
    oversampling: str = "last"
    """A name of sampling.OVERSAMPLINGS."""
    previous_stage: Path | None = None
    """For a cascade's second stage: the folder of the first one's labels, which become input channels …"""
    previous_labels: tuple[int, ...] = ()
    """… one for each of these."""


class PatchDataset(Dataset):
    """Samples by (source, number): image (c, *patch) float32 and labels (*patch) int16, -1 outside the image.

    A case that cannot be read is not raised but given instead of the sample: an error that crosses to another process
    would come out there as a text about processes.
    """

    def __init__(self, sources: Sequence[SampleSource]) -> None:
        self._sources = tuple(sources)
        self._augmentations: list[Augmentation | None] = [None] * len(self._sources)
        self._open = functools.lru_cache(maxsize=OPEN_CASES)(open_training_case)

    def __getstate__(self) -> dict:
        # Worker processes started by spawn receive the dataset pickled; caches and transforms are made anew there.
        return {"_sources": self._sources}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["_sources"])

    def __getitem__(self, place: tuple[int, int]) -> Sample | UserInputError:
        which, number = place
        source, augmentation = self._sources[which], self._augmentation(which)
        rng = np.random.default_rng((source.seed, number))
        try:
            identifier = source.identifiers[rng.integers(len(source.identifiers))]
            case = self._open(source.folder, identifier, source.previous_stage)
            _require_channels(case, source)
        except UserInputError as error:
            return error
        patch = _draw(source, augmentation, case, rng, number)
        patch = augmentation(patch, int(rng.integers(2**32)))
        image = patch.image if patch.previous is None else _with_previous(patch, source, rng)
        return torch.from_numpy(image), torch.from_numpy(patch.labels)

    def _augmentation(self, which: int) -> Augmentation:
        if self._augmentations[which] is None:
            self._augmentations[which] = _augmentation_of(self._sources[which])
        return self._augmentations[which]


def _require_channels(case: TrainingCase, source: SampleSource) -> None:
    expected = len(source.configuration.normalization_schemes)
    if len(case.data) != expected:
        raise FileError(
            source.folder,
            f"holds a case with {len(case.data)} channel(s) where the plan has {expected}",
            "delete the folder and preprocess the dataset again",
        )


def _with_previous(patch: Patch, source: SampleSource, rng: np.random.Generator) -> np.ndarray:
    channels = one_hot(patch.previous, source.previous_labels)
    if AUGMENTATIONS[source.augmentation] is not None:
        channels = apply_label_noise(channels, draw_label_noise(rng, len(channels)))
    return np.concatenate([patch.image, channels])


def _augmentation_of(source: SampleSource) -> Augmentation:
    masked = tuple(channel for channel, use in enumerate(source.configuration.use_mask_for_norm) if use)
    geometry = augmentation_geometry(source.configuration.patch_size)
    return Augmentation(geometry, AUGMENTATIONS[source.augmentation], source.mirror_axes, masked)


def _draw(
    source: SampleSource, augmentation: Augmentation, case: TrainingCase, rng: np.random.Generator, number: int
) -> Patch:
    final, crop = source.configuration.patch_size, augmentation.crop_size
    batch_size = source.configuration.batch_size
    is_forced = OVERSAMPLINGS[source.oversampling]
    forced = is_forced(number % batch_size, batch_size, source.oversample_foreground, rng)
    if len(final) == 3:
        return draw_patch(case, rng, crop, final, forced)
    patch = draw_patch(case, rng, (1, *crop), (1, *final), forced)
    return Patch(patch.image[:, 0], patch.labels[0], None if patch.previous is None else patch.previous[0])
