"""What planning needs to know of a dataset: sizes, spacings and the intensities of the foreground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Intensities:
    """Statistics of one channel over sampled foreground voxels (standard deviation with ddof 0)."""

    max: float
    mean: float
    median: float
    min: float
    percentile_00_5: float
    percentile_99_5: float
    std: float


def intensities_to_json(channels: Sequence[Intensities]) -> dict[str, dict[str, float]]:
    """By channel number, as text."""
    return {str(channel): dict(vars(values)) for channel, values in enumerate(channels)}


def intensities_from_json(channels: Mapping[str, Mapping[str, float]]) -> tuple[Intensities, ...]:
    """One per channel number from 0 on; what else is said of a channel is left aside.

    Raises:
        KeyError: a channel or one of its numbers is missing.
    """
    names = [field.name for field in fields(Intensities)]
    return tuple(
        Intensities(**{name: channels[str(channel)][name] for name in names}) for channel in range(len(channels))
    )


@dataclass(frozen=True)
class Fingerprint:
    """nnU-Net's dataset_fingerprint.json. Cases in identifier order; axes z, y, x; spacing in mm."""

    spacings: tuple[tuple[float, float, float], ...]
    shapes_after_crop: tuple[tuple[int, int, int], ...]
    foreground_intensities: tuple[Intensities, ...]
    """One per channel."""
    median_relative_size_after_cropping: float

    def to_json(self) -> dict[str, Any]:
        return {
            "foreground_intensity_properties_per_channel": intensities_to_json(self.foreground_intensities),
            "median_relative_size_after_cropping": self.median_relative_size_after_cropping,
            "shapes_after_crop": [list(shape) for shape in self.shapes_after_crop],
            "spacings": [list(spacing) for spacing in self.spacings],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Fingerprint:
        return cls(
            spacings=tuple(tuple(map(float, spacing)) for spacing in content["spacings"]),
            shapes_after_crop=tuple(tuple(map(int, shape)) for shape in content["shapes_after_crop"]),
            foreground_intensities=intensities_from_json(content["foreground_intensity_properties_per_channel"]),
            median_relative_size_after_cropping=float(content["median_relative_size_after_cropping"]),
        )
