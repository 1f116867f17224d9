"""How large images are, from the headers of their files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..errors import UserInputError
from .gate import require_sound_file
from .itk_warnings import no_itk_warnings

FILES_LOOKED_AT = 8


@dataclass(frozen=True)
class ImageSize:
    """The extent of one image, or of the images of one case, which share it."""

    shape: tuple[int, ...]
    """Voxels along x, y, z, and whatever axes follow."""
    spacing_mm: tuple[float, ...]
    channels: int = 1

    @property
    def values(self) -> int:
        """Voxels times channels."""
        return math.prod(self.shape) * self.channels

    def values_at(self, spacing_mm: Sequence[float]) -> int:
        """About how many values there are at another spacing, given for two axes (the finest) or for all."""
        axes = sorted(self.spacing_mm)[: len(spacing_mm)]
        estimate = self.values * math.prod(axes) / math.prod(spacing_mm)
        # A header may say anything; whoever reads the image refuses it.
        return round(estimate) if math.isfinite(estimate) else self.values


def largest_image(files: Iterable[Path], channels: int = 1) -> ImageSize:
    """The size of the largest image, by the headers of the largest files; no values at all without files.

    The size on disk says roughly which images are large, so a few are opened, however many there are.
    """
    candidates = sorted(files, key=_bytes_on_disk, reverse=True)[:FILES_LOOKED_AT]
    sizes = (_size(file, channels) for file in candidates)
    return max(sizes, key=lambda size: size.values, default=ImageSize((0,), (1.0,), channels))


def _bytes_on_disk(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _size(file: Path, channels: int) -> ImageSize:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        require_sound_file(file, may_have_components=True)
        with no_itk_warnings():
            reader.ReadImageInformation()
    except (UserInputError, RuntimeError):
        # Missing, damaged or of a type that SimpleITK does not read: what is on the disk has to do.
        return ImageSize((max(_bytes_on_disk(file), 1),), (1.0,), channels)
    return ImageSize(reader.GetSize(), reader.GetSpacing(), channels)
