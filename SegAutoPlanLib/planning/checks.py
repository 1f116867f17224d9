"""What cannot be planned, said in one sentence before any arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UserInputError

if TYPE_CHECKING:
    from ..dataset.dataset import Dataset
    from ..fingerprint.fingerprint import Fingerprint


def check_input(
    fingerprint: Fingerprint,
    dataset: Dataset,
    gpu_memory_gb: float | None,
    target_spacing: Sequence[float] | None,
) -> None:
    """Whatever makes a plan impossible, found before the arithmetic begins.

    Raises:
        UserInputError: fingerprint, dataset or options cannot give a plan.
    """
    if gpu_memory_gb is not None and not _is_positive(gpu_memory_gb):
        raise UserInputError(f"A GPU memory of {gpu_memory_gb} GB cannot be planned for; give a number above 0.")
    if target_spacing is not None and (len(target_spacing) != 3 or not all(map(_is_positive, target_spacing))):
        raise UserInputError(
            f"The target spacing {' '.join(map(str, target_spacing))} is not three numbers above 0; "
            "give mm along z, y and x."
        )
    if not fingerprint.spacings:
        raise UserInputError(f"{dataset.name}: the fingerprint has no cases; add training cases and run it again.")
    _check_grids(fingerprint, dataset)
    channels = len(fingerprint.foreground_intensities)
    if channels != len(dataset.channel_names):
        raise UserInputError(
            f"{dataset.name}: dataset.json names {len(dataset.channel_names)} channels, but the images have "
            f"{channels}; correct channel_names and run the fingerprint again."
        )


def _check_grids(fingerprint: Fingerprint, dataset: Dataset) -> None:
    for index, (spacing, shape) in enumerate(zip(fingerprint.spacings, fingerprint.shapes_after_crop, strict=True)):
        if not all(map(_is_positive, spacing)):
            raise UserInputError(
                f"{_case(dataset, index)}: the voxel size {' × '.join(map(str, spacing))} mm is impossible; "
                "correct the spacing in the image's header."
            )
        if min(shape) < 1:
            raise UserInputError(f"{_case(dataset, index)}: the image is empty; replace it or remove the case.")


def _case(dataset: Dataset, index: int) -> str:
    known = index < len(dataset.cases)
    return f"{dataset.name}, {dataset.cases[index].identifier if known else f'case number {index + 1}'}"


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0
