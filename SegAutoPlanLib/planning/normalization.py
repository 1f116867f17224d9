"""How each channel's intensities are normalised: one row per scheme, and the rules that choose among them.

`preprocessing.normalization` has the function of each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CROPPED_BELOW = 0.75
"""Median part of an image left by cropping, below which z-scores leave the cropped-off background out."""


@dataclass(frozen=True)
class Scheme:
    """A way of normalising one channel."""

    name: str
    """nnU-Net's, in plans.json."""
    channel_name: str
    """Channels of this name, in capitals or not, get it."""
    in_words: str
    """May name fields of the channel's `Intensities`."""
    uses_dataset_intensities: bool = False
    """Whether the result depends on the foreground intensities of all cases."""
    can_leave_background_out: bool = False


Z_SCORE = Scheme(
    "ZScoreNormalization",
    "zscore",
    "each image is brought to mean 0 and standard deviation 1",
    can_leave_background_out=True,
)
SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "CTNormalization",
            "ct",
            "Hounsfield units are cut to {percentile_00_5:.0f} to {percentile_99_5:.0f} (all but 1 % of the labelled "
            "voxels), then scaled by the dataset's mean {mean:.0f} and standard deviation {std:.0f}",
            uses_dataset_intensities=True,
        ),
        Scheme("NoNormalization", "nonorm", "intensities are used as they are"),
        Z_SCORE,
        Scheme("RescaleTo01Normalization", "rescale_to_0_1", "each image is scaled to the range 0 to 1"),
        Scheme("RGBTo01Normalization", "rgb_to_0_1", "colours 0 to 255 become 0 to 1"),
    )
}
"""By the names that plans.json uses."""


def normalization_schemes(channel_names: Sequence[str]) -> tuple[str, ...]:
    """The scheme that the name of each channel asks for; z-score where it names none."""
    asked_for = {scheme.channel_name: scheme.name for scheme in SCHEMES.values()}
    return tuple(asked_for.get(name.casefold(), Z_SCORE.name) for name in channel_names)


def masks_for_normalization(schemes: Sequence[str], median_size_after_cropping: float) -> tuple[bool, ...]:
    """Whether the statistics of each channel leave out the background that cropping found."""
    cropped = median_size_after_cropping < CROPPED_BELOW
    return tuple(cropped and SCHEMES[scheme].can_leave_background_out for scheme in schemes)


def depends_on_dataset(scheme: str) -> bool:
    """Whether a channel normalised by the scheme of this name depends on the dataset's foreground intensities."""
    return scheme in SCHEMES and SCHEMES[scheme].uses_dataset_intensities
