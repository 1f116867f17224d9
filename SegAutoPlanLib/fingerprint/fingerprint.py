"""What planning needs to know of a dataset: sizes, spacings and the intensities of the foreground."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..schema import Mismatch, Rule, array_of, every, mapping_of, number, record, text, whole

INTENSITIES = "foreground_intensity_properties_per_channel"
SPACING = number(above=0, highest=1e6)
"""In mm; the thickness that stands in for a 2-D image's is 999 pixels."""
LONGEST_AXIS = 10**6
ROUNDING = 1e-3
"""Of the largest value: nnU-Net sums up single precision, so that a mean may lie a little beside a constant."""


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


ORDERED = ("min", "percentile_00_5", "median", "percentile_99_5", "max")


def ordered_intensities(value: Mapping[str, float]) -> None:
    """A rule (see `schema`): the statistics of a channel are possible, one beside the other."""
    slack = ROUNDING * max(abs(value["min"]), abs(value["max"]))
    for lower, upper in (*itertools.pairwise(ORDERED), ("min", "mean"), ("mean", "max")):
        if value[lower] > value[upper] + slack:
            raise Mismatch(f'has "{lower}" {value[lower]:g} above "{upper}" {value[upper]:g}')


INTENSITY_RULE: Rule = every(
    record({**{field.name: number() for field in fields(Intensities)}, "std": number(lowest=0)}), ordered_intensities
)
"""What is said of one channel."""


def numbered(value: Mapping[str, Any]) -> None:
    """A rule (see `schema`): the keys are 0, 1, 2 … as text."""
    if set(value) != {str(index) for index in range(len(value))}:
        raise Mismatch("must have the keys 0, 1, 2 and so on, one for each channel")


def as_many_spacings_as_shapes(value: Mapping[str, Any]) -> None:
    """A rule (see `schema`): both are there for each case."""
    if len(value["spacings"]) != len(value["shapes_after_crop"]):
        raise Mismatch('has not as many "spacings" as "shapes_after_crop"')


FINGERPRINT_RULE = every(
    record(
        {
            "spacings": array_of(array_of(SPACING, length=3)),
            "shapes_after_crop": array_of(array_of(whole(1, LONGEST_AXIS), length=3)),
            INTENSITIES: every(mapping_of(INTENSITY_RULE, text(), shortest=1), numbered),
            "median_relative_size_after_cropping": number(above=0, highest=1),
        }
    ),
    as_many_spacings_as_shapes,
)
"""What dataset_fingerprint.json says."""


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
            INTENSITIES: intensities_to_json(self.foreground_intensities),
            "median_relative_size_after_cropping": self.median_relative_size_after_cropping,
            "shapes_after_crop": [list(shape) for shape in self.shapes_after_crop],
            "spacings": [list(spacing) for spacing in self.spacings],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Fingerprint:
        """The fingerprint in a document that was found to be sound; see `FINGERPRINT_RULE`."""
        return cls(
            spacings=tuple(tuple(map(float, spacing)) for spacing in content["spacings"]),
            shapes_after_crop=tuple(tuple(map(int, shape)) for shape in content["shapes_after_crop"]),
            foreground_intensities=intensities_from_json(content[INTENSITIES]),
            median_relative_size_after_cropping=float(content["median_relative_size_after_cropping"]),
        )
