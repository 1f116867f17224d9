"""How large the cases are, from the headers of their files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..dataset import Case, Dataset

CASES_LOOKED_AT = 8


@dataclass(frozen=True)
class CaseSize:
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    channels: int

    @property
    def values(self) -> int:
        """Voxels times channels."""
        return math.prod(self.shape) * self.channels

    def values_at(self, spacing_mm: Sequence[float]) -> int:
        """About how many values there are at another spacing, given for two axes (the finest) or for all."""
        axes = sorted(self.spacing_mm)[: len(spacing_mm)]
        return round(self.values * math.prod(axes) / math.prod(spacing_mm))


def largest_case(dataset: Dataset) -> CaseSize:
    """The size of the largest case, by the headers of those with the largest files."""
    channels = len(dataset.channel_names)
    return max((_size(case, channels) for case in _candidates(dataset)), key=lambda size: size.values)


def _candidates(dataset: Dataset) -> list[Case]:
    """Compressed size says roughly which cases are large; a few of those are opened."""

    def bytes_on_disk(case: Case) -> int:
        return sum(file.stat().st_size for file in case.image_files if file.is_file())

    return sorted(dataset.cases, key=bytes_on_disk, reverse=True)[:CASES_LOOKED_AT]


def _size(case: Case, channels: int) -> CaseSize:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(case.image_files[0]))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        # Missing, damaged or of a type that SimpleITK does not read: what is on the disk has to do.
        known = case.image_files[0].stat().st_size if case.image_files[0].is_file() else 1
        return CaseSize((known,), (1.0,), channels)
    return CaseSize(reader.GetSize(), reader.GetSpacing(), channels)
