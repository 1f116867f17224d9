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
    """So many times 90° in the plane of two axes."""

    axes: tuple[int, int]
    times: int


@dataclass(frozen=True)
class AxisOrder:
    """Which axis stands where now."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class Flip:
    """Axes turned over."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class AddedNoise:
    """Gaussian noise; the seed decides it, per kind of device."""

    deviation: float
    seed: int


@dataclass(frozen=True)
class Blurred:
    """A Gaussian filter."""

    sigmas_voxels: tuple[tuple[float, ...] | None, ...]
    """Per channel and axis."""


@dataclass(frozen=True)
class MedianFiltered:
    """The median of cubes of so many voxels along an edge."""

    edges_voxels: tuple[int | None, ...]


@dataclass(frozen=True)
class Brightened:
    """Values times a factor."""

    factors: PerChannel


@dataclass(frozen=True)
class Shifted:
    """A number added to all values."""

    shifts: PerChannel


@dataclass(frozen=True)
class Contrasted:
    """Distances from the mean times a factor; values beyond the old range are cut off, if it is kept."""

    factors: PerChannel
    keeps_range: bool


@dataclass(frozen=True)
class LowResolved:
    """Shrunk by a zoom and enlarged again."""

    zooms: PerChannel
    axes: tuple[int, ...]
    """The spatial axes that are shrunk."""


@dataclass(frozen=True)
class GammaCorrected:
    """A power of the values between their extremes, dark and bright exchanged if inverted."""

    exponents: PerChannel
    inverted: bool


@dataclass(frozen=True)
class Box:
    """Voxels from `lower` to below `upper`, per axis."""

    lower: tuple[int, ...]
    upper: tuple[int, ...]


@dataclass(frozen=True)
class Blanked:
    """Boxes filled with their mean."""

    boxes: tuple[tuple[Box, ...], ...]
    """Per channel."""


@dataclass(frozen=True)
class Bump:
    """A product of Gaussians, scaled to 0 … 1 within the patch."""

    centres_voxels: tuple[float, ...]
    widths_voxels: tuple[float, ...]


@dataclass(frozen=True)
class GradientAdded:
    """A bump times a strength, added."""

    bumps: tuple[Bump | None, ...]
    strengths: PerChannel


@dataclass(frozen=True)
class GammaCorrectedLocally:
    """A power of the values where the bump is high."""

    bumps: tuple[Bump | None, ...]
    exponents: PerChannel


@dataclass(frozen=True)
class Sharpened:
    """The Laplacian, subtracted so many times."""

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
