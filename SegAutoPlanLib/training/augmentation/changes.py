"""Changes of one patch, drawn: what was decided by chance, as records. No torch needed.

A value per channel is None where that channel stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

PerChannel = tuple[float | None, ...]


@dataclass(frozen=True)
class ElasticChange:
    """A smooth random displacement."""

    seed: int
    widths_voxels: tuple[float, ...]
    """Standard deviation of the Gaussian that smooths it, per axis."""
    strengths_voxels: tuple[float, ...]
    """The longest displacement along each axis."""


@dataclass(frozen=True)
class SpaceChange:
    """Where in the crop the voxels of the patch are read, per spatial axis (in plane: of the two in-plane axes)."""

    angles: tuple[float, ...]
    """Radians, about each axis; one in two dimensions."""
    scales: tuple[float, ...]
    elastic: ElasticChange | None
    in_plane_only: bool
    nearest_image: bool
    nearest_labels: bool


@dataclass(frozen=True)
class QuarterTurn:
    axes: tuple[int, int]
    times: int


@dataclass(frozen=True)
class AxisOrder:
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Flip:
    axes: tuple[int, ...]


@dataclass(frozen=True)
class AddedNoise:
    deviation: float
    seed: int


@dataclass(frozen=True)
class Blurred:
    sigmas_voxels: tuple[tuple[float, ...] | None, ...]
    """Per channel and axis."""


@dataclass(frozen=True)
class MedianFiltered:
    edges_voxels: tuple[int | None, ...]


@dataclass(frozen=True)
class Brightened:
    factors: PerChannel


@dataclass(frozen=True)
class Shifted:
    shifts: PerChannel


@dataclass(frozen=True)
class Contrasted:
    factors: PerChannel
    keeps_range: bool


@dataclass(frozen=True)
class LowResolved:
    zooms: PerChannel
    axes: tuple[int, ...]
    """The spatial axes that are shrunk."""


@dataclass(frozen=True)
class GammaCorrected:
    exponents: PerChannel
    inverted: bool


@dataclass(frozen=True)
class Box:
    lower: tuple[int, ...]
    upper: tuple[int, ...]


@dataclass(frozen=True)
class Blanked:
    boxes: tuple[tuple[Box, ...], ...]
    """Per channel."""


@dataclass(frozen=True)
class Bump:
    """A product of Gaussians, scaled to 0 … 1 within the patch."""

    centres_voxels: tuple[float, ...]
    widths_voxels: tuple[float, ...]


@dataclass(frozen=True)
class GradientAdded:
    bumps: tuple[Bump | None, ...]
    strengths: PerChannel


@dataclass(frozen=True)
class GammaCorrectedLocally:
    bumps: tuple[Bump | None, ...]
    exponents: PerChannel


@dataclass(frozen=True)
class Sharpened:
    strengths: PerChannel


Change = (
    QuarterTurn
    | AxisOrder
    | Flip
    | AddedNoise
    | Blurred
    | MedianFiltered
    | Brightened
    | Shifted
    | Contrasted
    | LowResolved
    | GammaCorrected
    | Blanked
    | GradientAdded
    | GammaCorrectedLocally
    | Sharpened
)


@dataclass(frozen=True)
class Changes:
    """All that happens to one patch, in order."""

    space: SpaceChange | None
    """None: the middle of the crop, as it is."""
    steps: tuple[Change, ...]
