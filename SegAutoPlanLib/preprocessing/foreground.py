"""Voxels of each class, kept beside a case so that training can place patches on the foreground."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..fingerprint.cropping import OUTSIDE
from ..labels import Label, LabelScheme

SEED = 1234
MIN_VOXELS_KEPT = 10_000
SHARE = 0.01


def sampled_classes(label_scheme: LabelScheme) -> tuple[Label, ...]:
    """The foreground labels or regions and, with an ignore label, one entry for all that was annotated."""
    if label_scheme.ignore_label is None:
        return label_scheme.foreground
    return (*label_scheme.foreground, (OUTSIDE, *label_scheme.all_labels))


def locate_foreground(segmentation: np.ndarray, classes: Sequence[Label]) -> dict[Label, np.ndarray]:
    """Random voxels [z, y, x] of each class, without repetition; a class that is absent has none.

    Of N voxels max(min(10000, N), 1 % of N) are kept, as nnU-Net does; which ones differs from version to version
    of nnU-Net and is not imitated.
    """
    random = np.random.default_rng(SEED)
    voxels = _VoxelsByLabel(segmentation)
    return {label: _coordinates(voxels.of(label), segmentation.shape, random) for label in classes}


class _VoxelsByLabel:
    """Flat indices of the voxels of each label, found in one pass over the foreground."""

    def __init__(self, segmentation: np.ndarray) -> None:
        self._flat = segmentation.reshape(-1)
        indices = np.flatnonzero(self._flat > 0)
        values = self._flat[indices]
        order = np.argsort(values, kind="stable")
        self._indices, self._values = indices[order], values[order]

    def of(self, label: Label) -> np.ndarray:
        if isinstance(label, int):
            return self._of_value(label)
        return np.concatenate([self._of_value(value) for value in label])

    def _of_value(self, value: int) -> np.ndarray:
        if value <= 0:
            return np.flatnonzero(self._flat == value)
        return self._indices[slice(*np.searchsorted(self._values, (value, value + 1)))]


def _coordinates(indices: np.ndarray, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    wanted = max(min(MIN_VOXELS_KEPT, len(indices)), math.ceil(SHARE * len(indices)))
    if wanted < len(indices):
        indices = indices[random.choice(len(indices), wanted, replace=False, shuffle=False)]
    compact = np.int16 if max(shape) <= np.iinfo(np.int16).max else np.int32
    return np.stack(np.unravel_index(indices, shape), axis=1).astype(compact)
