"""Bringing the intensities of one channel to a common scale: one function a scheme of plans.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import UserInputError

Scheme = Callable[[np.ndarray, "np.ndarray | None", Mapping[str, float]], np.ndarray]
"""(values (z, y, x) float32, mask of what to use or None, the channel's foreground intensities) -> float32."""

SMALLEST_DEVIATION = 1e-8


def z_score(values: np.ndarray, mask: np.ndarray | None, _: Mapping[str, float]) -> np.ndarray:
    """(x - mean) / standard deviation; with a mask over it and in it only, the rest stays as it is."""
    if mask is None:
        return (values - values.mean()) / max(values.std(), SMALLEST_DEVIATION)
    inside = values[mask]
    result = values.copy()
    if inside.size:
        result[mask] = (inside - inside.mean()) / max(inside.std(), SMALLEST_DEVIATION)
    return result


def ct(values: np.ndarray, _: np.ndarray | None, intensities: Mapping[str, float]) -> np.ndarray:
    """Clip to the dataset's 0.5 and 99.5 percentiles, then standardise by its mean and deviation."""
    result = np.clip(values, np.float32(intensities["percentile_00_5"]), np.float32(intensities["percentile_99_5"]))
    result -= np.float32(intensities["mean"])
    result /= np.float32(max(intensities["std"], SMALLEST_DEVIATION))
    return result


def none(values: np.ndarray, _: np.ndarray | None, __: Mapping[str, float]) -> np.ndarray:
    return values


def rescale_to_0_1(values: np.ndarray, _: np.ndarray | None, __: Mapping[str, float]) -> np.ndarray:
    shifted = values - values.min()
    return shifted / max(shifted.max(), SMALLEST_DEVIATION)


def rgb_to_0_1(values: np.ndarray, _: np.ndarray | None, __: Mapping[str, float]) -> np.ndarray:
    """Divide by 255.

    Raises:
        UserInputError: values outside 0..255.
    """
    if values.min() < 0 or values.max() > 255:
        raise UserInputError(
            f"RGB values must lie in 0..255 but reach from {values.min():g} to {values.max():g}; "
            "name the channel otherwise in dataset.json, or convert the images."
        )
    return values / np.float32(255)


SCHEMES: dict[str, Scheme] = {
    "ZScoreNormalization": z_score,
    "CTNormalization": ct,
    "NoNormalization": none,
    "RescaleTo01Normalization": rescale_to_0_1,
    "RGBTo01Normalization": rgb_to_0_1,
}
"""By the names that plans.json uses."""


def normalize(
    image: np.ndarray,
    segmentation: np.ndarray,
    schemes: tuple[str, ...],
    use_mask: tuple[bool, ...],
    intensities: tuple[Mapping[str, float], ...],
) -> np.ndarray:
    """Normalise each channel of a cropped image.

    Args:
        image: (c, z, y, x) float32, left as it is.
        segmentation: (z, y, x), negative outside the imaged region.
        schemes: a name a channel.
        use_mask: whether a channel's statistics ignore what is outside.
        intensities: the plan's foreground intensities, a dict a channel.

    Raises:
        UserInputError: a channel count that differs from the plan's, or an unknown scheme.
    """
    if len(image) != len(schemes):
        raise UserInputError(
            f"the image has {len(image)} channels but the plan was made for {len(schemes)}; "
            "give one file a channel as dataset.json lists them."
        )
    result = np.empty(image.shape, np.float32)
    mask = segmentation >= 0 if any(use_mask) else None
    for channel, (values, scheme) in enumerate(zip(image, schemes, strict=True)):
        if scheme not in SCHEMES:
            raise UserInputError(
                f"the plan asks for the unknown normalisation {scheme}; use one of {', '.join(SCHEMES)}."
            )
        known = intensities[channel] if channel < len(intensities) else {}
        result[channel] = SCHEMES[scheme](values, mask if use_mask[channel] else None, known)
    return result
