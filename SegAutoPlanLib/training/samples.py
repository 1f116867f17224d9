"""Augmented patches by their number: the number alone decides what a sample is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from ..errors import FileError, UserInputError
from ..planning.plan import Configuration
from ..preprocessing import TrainingCase, open_training_case
from ..preprocessing.previous_stage import one_hot
from .augmentation.apply import apply_changes
from .augmentation.changes import Changes
from .augmentation.drawing import Subject, draw_changes
from .augmentation.geometry import augmentation_geometry
from .augmentation_presets import AUGMENTATIONS
from .previous_stage import NO_NOISE, LabelNoise, apply_label_noise, draw_label_noise
from .sampling import OVERSAMPLINGS, cut_patch, draw_corner

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
    """A name of sampling.OVERSAMPLINGS: which samples must contain foreground."""
    previous_stage: Path | None = None
    """For a cascade's second stage: the folder of the first one's labels, which become input channels …"""
    previous_labels: tuple[int, ...] = ()
    """… one for each of these."""


@dataclass(frozen=True)
class RawSample:
    """A crop and what is to happen to it."""

    image: torch.Tensor
    """(c, *crop) float32"""
    labels: torch.Tensor
    """(1, *crop) int16, -1 outside the image; in a cascade's second stage (2, *crop), the first one's labels last"""
    changes: Changes
    patch_size: tuple[int, ...]
    masked_channels: tuple[int, ...]
    previous_labels: tuple[int, ...] = ()
    label_noise: LabelNoise = NO_NOISE

    def augmented(self, device: torch.device | str = "cpu") -> Sample:
        """Image (c, *patch), with a channel for each of the previous labels behind it, and labels (*patch), made on
        that device."""
        image, labels = self.image.to(device, non_blocking=True), self.labels.to(device, non_blocking=True)
        image, labels = apply_changes(image, labels, self.changes, self.patch_size, self.masked_channels)
        if self.previous_labels:
            channels = one_hot(labels[1].cpu().numpy(), self.previous_labels)
            channels = torch.from_numpy(apply_label_noise(channels, self.label_noise))
            image = torch.cat([image, channels.to(device)])
        return image, labels[0]

    def pin_memory(self) -> RawSample:
        """The same in memory that a graphics card reads by itself; torch's loader asks for it by this name."""
        return replace(self, image=self.image.pin_memory(), labels=self.labels.pin_memory())


class PatchDataset(Dataset):
    """Samples by (source, number): image (c, *patch) float32 and labels (*patch) int16, -1 outside the image.

    A case that cannot be read is not raised but given instead of the sample: an error that crosses to another process
    would come out there as a text about processes.

    Args:
        augments: whether to apply the drawn changes; without it a `RawSample` is given.
    """

    def __init__(self, sources: Sequence[SampleSource], augments: bool = True) -> None:
        self.sources, self._augments = tuple(sources), augments
        self._open = functools.lru_cache(maxsize=OPEN_CASES)(open_training_case)

    def __getstate__(self) -> dict:
        # Worker processes started by spawn receive the dataset pickled; the cache is made anew there.
        return {"sources": self.sources, "augments": self._augments}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def __getitem__(self, place: tuple[int, int]) -> Sample | RawSample | UserInputError:
        which, number = place
        try:
            raw = draw_sample(self.sources[which], number, self._open)
        except UserInputError as error:
            return error
        return raw.augmented() if self._augments else raw


def draw_sample(
    source: SampleSource, number: int, open_case: Callable[[Path, str, Path | None], TrainingCase] = open_training_case
) -> RawSample:
    """The sample of that number: everything that chance decides about it, nothing of it applied.

    Raises:
        UserInputError: its case cannot be read.
    """
    rng = np.random.default_rng((source.seed, number))
    case = open_case(source.folder, source.identifiers[rng.integers(len(source.identifiers))], source.previous_stage)
    _require_channels(case, source)
    configuration = source.configuration
    preset = AUGMENTATIONS[source.augmentation]
    patch_size = configuration.patch_size
    geometry = augmentation_geometry(patch_size, preset.space)
    position = number % configuration.batch_size
    oversamples = OVERSAMPLINGS[source.oversampling]
    forced = oversamples(position, configuration.batch_size, source.oversample_foreground, rng)
    crop, final = _in_space(geometry.crop_size), _in_space(patch_size)
    lower = draw_corner(case, rng, crop, final, forced)
    subject = Subject(len(case.data), geometry, source.mirror_axes)
    changes = draw_changes(preset.space, preset.steps, subject, rng)
    if changes.space is None:
        # Only the middle of the crop will be seen: what lies around it need not be read.
        lower = [low + whole // 2 - part // 2 for low, whole, part in zip(lower, crop, final, strict=True)]
        crop = final
    patch = cut_patch(case, lower, crop)
    maps = [patch.labels] if patch.previous is None else [patch.labels, patch.previous]
    image, labels = torch.from_numpy(patch.image), torch.from_numpy(np.stack(maps))
    if len(patch_size) == 2:
        image, labels = image[:, 0], labels[:, 0]
    if preset.space is None:
        # nnU-Net leaves masked channels and the previous stage's labels as they are where it does not augment.
        return RawSample(image, labels, changes, patch_size, (), source.previous_labels)
    noise = draw_label_noise(rng, len(source.previous_labels)) if source.previous_labels else NO_NOISE
    masked = _masked_channels(configuration)
    return RawSample(image, labels, changes, patch_size, masked, source.previous_labels, noise)


def _in_space(size: tuple[int, ...]) -> tuple[int, ...]:
    """Three axes; a patch of two is one slice."""
    return (1,) * (3 - len(size)) + size


def _masked_channels(configuration: Configuration) -> tuple[int, ...]:
    return tuple(channel for channel, use in enumerate(configuration.use_mask_for_norm) if use)


def _require_channels(case: TrainingCase, source: SampleSource) -> None:
    expected = len(source.configuration.normalization_schemes)
    if len(case.data) != expected:
        raise FileError(
            source.folder,
            f"holds a case with {len(case.data)} channel(s) where the plan has {expected}",
            "delete the folder and preprocess the dataset again",
        )
