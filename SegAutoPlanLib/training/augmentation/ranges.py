"""What a preset is made of: probabilities and ranges, one record per kind of change. No torch needed.

`p` is the probability that a sample is changed so, `per_channel` that one channel of such a sample is. A `Range` is
uniform; a `Factors` range has even chances for either side of 1.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]
Factors = tuple[float, float]


@dataclass(frozen=True)
class SpaceRanges:
    """Turning, zooming and bending, all in one interpolation. Angles follow from the patch size (geometry.py)."""

    p_rotation: float = 0.2
    rotation_per_axis: float = 1.0
    """Probability that a rotated sample is turned about one axis."""
    p_scaling: float = 0.2
    scaling: Range = (0.7, 1.4)
    """Above 1 shrinks what is seen."""
    scaling_per_axis: bool = False
    """Whether each axis has a factor of its own."""
    p_elastic: float = 0.0
    elastic_width: Range = (0.0, 0.25)
    """How far neighbours move together, in shares of the patch's edges: one draw for all axes."""
    elastic_strength: Range = (1 / 8, 1 / 2)
    """The longest displacement, in shares of that width: one draw per axis."""
    nearest_image: bool = False
    nearest_labels: bool = False
    """Whether the nearest voxel is taken, instead of interpolating."""
    crop_margin: float = 0.85
    """The crop is enlarged by its inverse, to show more where it is shrunk; beyond it there is padding, as in
    nnU-Net."""
    in_plane_if_anisotropic: bool = True
    """Whether anisotropic patches are changed slice by slice (nnU-Net's dummy 2D)."""


DEFAULT_SPACE = SpaceRanges()
"""nnU-Net's."""


@dataclass(frozen=True)
class QuarterTurns:
    """Turns by 0 to 3 times 90° in the plane of two axes of equal length."""

    p: float


@dataclass(frozen=True)
class AxisSwaps:
    """Axes of equal length in a random order."""

    p: float


@dataclass(frozen=True)
class Noise:
    """Gaussian noise, as strong in every channel."""

    p: float = 0.1
    deviation: Range = (0.0, 0.1)
    """Standard deviation (nnU-Net calls it a variance)."""


@dataclass(frozen=True)
class Blur:
    """A Gaussian filter; its width is drawn per channel, and per axis or for all of them."""

    p: float = 0.2
    per_channel: float = 0.5
    sigma_voxels: Range = (0.5, 1.0)
    per_axis: bool = True


@dataclass(frozen=True)
class MedianFilter:
    """The median of a cube of so many voxels along each edge (the upper end is not drawn)."""

    p: float
    per_channel: float
    edge_voxels: tuple[int, int]


@dataclass(frozen=True)
class Brightness:
    """Every value times a factor per channel."""

    p: float = 0.15
    factor: Factors = (0.75, 1.25)


@dataclass(frozen=True)
class BrightnessShift:
    """A normally distributed number per channel, added."""

    p: float
    per_channel: float
    deviation: float


@dataclass(frozen=True)
class Contrast:
    """Distance from the channel's mean times a factor."""

    p: float = 0.15
    per_channel: float = 1.0
    factor: Factors = (0.75, 1.25)
    keeps_range: float = 1.0
    """Probability that values beyond the range from before are cut off."""


@dataclass(frozen=True)
class LowResolution:
    """Shrunk (nearest voxel) and enlarged again (linear), by one factor per channel for all axes."""

    p: float = 0.25
    per_channel: float = 0.5
    zoom: Range = (0.5, 1.0)


@dataclass(frozen=True)
class Gamma:
    """A power of the values between their extremes; mean and deviation stay."""

    p: float = 0.3
    exponent: Factors = (0.7, 1.5)
    inverted: bool = False
    """Whether dark and bright are exchanged for it."""


@dataclass(frozen=True)
class Mirror:
    """A coin per axis that the recipe mirrors."""


@dataclass(frozen=True)
class BlankBoxes:
    """Boxes filled with their mean (the upper end of the numbers is not drawn)."""

    p: float
    per_channel: float
    count: tuple[int, int]
    edge_shares: tuple[int, int]
    """Edges are from 1/first to below 1/second of the patch's."""


@dataclass(frozen=True)
class BrightnessGradient:
    """A wide Gaussian bump, added; its centre may lie outside the patch."""

    p: float
    per_channel: float
    centre: Range
    """In shares of the axis."""
    narrowest: int
    """Widths are from 1/narrowest of the axis to all of it, their logarithms uniform."""
    strength: Range
    """Of the bump's highest value, with either sign."""


@dataclass(frozen=True)
class LocalGamma:
    """A power of the values as in Gamma, fading out away from a centre that may lie outside the patch."""

    p: float
    per_channel: float
    centre: Range
    narrowest: int
    """As in BrightnessGradient."""
    exponents: tuple[Range, Range]
    """One of them, with even chances."""


@dataclass(frozen=True)
class Sharpening:
    """The Laplacian, subtracted so many times."""

    p: float
    per_channel: float
    strength: Range


@dataclass(frozen=True)
class OneOf:
    """One of these, with even chances; it then has its own probability."""

    choices: tuple[Ranges, ...]


Ranges = (
    QuarterTurns
    | AxisSwaps
    | Noise
    | Blur
    | MedianFilter
    | Brightness
    | BrightnessShift
    | Contrast
    | LowResolution
    | Gamma
    | Mirror
    | BlankBoxes
    | BrightnessGradient
    | LocalGamma
    | Sharpening
    | OneOf
)
"""What a patch of the final size may go through."""
