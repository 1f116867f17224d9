"""Bringing the intensities of one channel to a common scale: one function per scheme of plans.json."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..errors import UserInputError
from ..fingerprint.fingerprint import Intensities
from ..planning.normalization import depends_on_dataset

Scheme = Callable[[np.ndarray, "np.ndarray | None", "Intensities | None"], None]
"""Changes the values (z, y, x) float32 in place, given a mask of what to use (or None) and the channel's foreground
intensities (None only for a scheme that does not depend on them)."""

SMALLEST_DEVIATION = 1e-8


def z_score(values: np.ndarray, mask: np.ndarray | None, _: Intensities | None) -> None:
    """(x - mean) / standard deviation; with a mask over it and in it only, the rest stays as it is."""
    if mask is not None:
        inside = values[mask]
        if inside.size:
            z_score(inside, None, _)
            values[mask] = inside
        return
    values -= values.mean()
    # Slice by slice: the squares of a whole volume would be a second volume.
    squares = sum(float(np.square(part).sum(dtype=np.float64)) for part in values)
    values /= np.float32(max(math.sqrt(squares / values.size), SMALLEST_DEVIATION))


def ct(values: np.ndarray, _: np.ndarray | None, intensities: Intensities) -> None:
    """Clip to the dataset's 0.5 and 99.5 percentiles, then standardise by its mean and deviation."""
    np.clip(values, intensities.percentile_00_5, intensities.percentile_99_5, out=values)
    values -= intensities.mean
    values /= max(intensities.std, SMALLEST_DEVIATION)


def none(values: np.ndarray, _: np.ndarray | None, __: Intensities | None) -> None:
    """Leave the values as they are."""


def rescale_to_0_1(values: np.ndarray, _: np.ndarray | None, __: Intensities | None) -> None:
    """Shift and scale each image to the range from 0 to 1."""
    values -= values.min()
    values /= max(values.max(), SMALLEST_DEVIATION)


def rgb_to_0_1(values: np.ndarray, _: np.ndarray | None, __: Intensities | None) -> None:
    """Divide by 255.

    Raises:
        UserInputError: values outside 0..255.
    """
    if values.min() < 0 or values.max() > 255:
        raise UserInputError(
            f"RGB values must lie in 0..255 but reach from {values.min():g} to {values.max():g}; "
            "name the channel otherwise in dataset.json, or convert the images."
        )
    values /= 255


SCHEMES: dict[str, Scheme] = {
    "ZScoreNormalization": z_score,
    "CTNormalization": ct,
    "NoNormalization": none,
    "RescaleTo01Normalization": rescale_to_0_1,
    "RGBTo01Normalization": rgb_to_0_1,
}
"""By the names that plans.json uses; `planning.normalization` says what each is chosen for."""


def normalize(
    image: np.ndarray,
    segmentation: np.ndarray,
    schemes: tuple[str, ...],
    use_mask: tuple[bool, ...],
    intensities: tuple[Intensities, ...],
) -> None:
    """Normalise each channel of a cropped image in place.

    Args:
        image: (c, z, y, x) float32.
        segmentation: (z, y, x), negative outside the imaged region.
        schemes: a name per channel.
        use_mask: whether a channel's statistics ignore what is outside.
        intensities: the plan's foreground intensities, per channel.

    Raises:
        UserInputError: a channel count that differs from the plan's, an unknown scheme, or one whose foreground
            intensities are missing.
    """
    if len(image) != len(schemes):
        raise UserInputError(
            f"the image has {len(image)} channels but the plan was made for {len(schemes)}; "
            "give one file per channel as dataset.json lists them."
        )
    unknown = [scheme for scheme in schemes if scheme not in SCHEMES]
    if unknown:
        raise UserInputError(
            f"the plan asks for the unknown normalisation {unknown[0]}; use one of {', '.join(SCHEMES)}."
        )
    if any(map(depends_on_dataset, schemes[len(intensities) :])):
        raise UserInputError(
            f"the plan tells the foreground intensities of {len(intensities)} of {len(schemes)} channels; plan again."
        )
    mask = segmentation >= 0 if any(use_mask) else None
    for channel, values in enumerate(image):
        known = intensities[channel] if channel < len(intensities) else None
        SCHEMES[schemes[channel]](values, mask if use_mask[channel] else None, known)
