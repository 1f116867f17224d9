"""How each channel's intensities are normalised, and how images are resampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SCHEMES = {
    "ct": "CTNormalization",
    "nonorm": "NoNormalization",
    "zscore": "ZScoreNormalization",
    "rescale_to_0_1": "RescaleTo01Normalization",
    "rgb_to_0_1": "RGBTo01Normalization",
}
Z_SCORE = SCHEMES["zscore"]
CROPPED_BELOW = 0.75
"""Median part of an image left by cropping, below which z-scores leave the cropped-off background out."""


def normalization_schemes(channel_names: Sequence[str]) -> tuple[str, ...]:
    """The scheme that the name of each channel asks for; z-score where it names none."""
    return tuple(SCHEMES.get(name.casefold(), Z_SCORE) for name in channel_names)


def masks_for_normalization(schemes: Sequence[str], median_size_after_cropping: float) -> tuple[bool, ...]:
    """Whether statistics leave out the background that cropping found; only z-scores can."""
    cropped = median_size_after_cropping < CROPPED_BELOW
    return tuple(cropped and scheme == Z_SCORE for scheme in schemes)


def resampling_entries() -> dict[str, Any]:
    """The six `resampling_fn_*` entries: cubic for images, linear for labels and probabilities."""

    def options(is_seg: bool, order: int) -> dict[str, Any]:
        return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}

    function = "resample_data_or_seg_to_shape"
    return {
        "resampling_fn_data": function,
        "resampling_fn_seg": function,
        "resampling_fn_data_kwargs": options(False, 3),
        "resampling_fn_seg_kwargs": options(True, 1),
        "resampling_fn_probabilities": function,
        "resampling_fn_probabilities_kwargs": options(False, 1),
    }
