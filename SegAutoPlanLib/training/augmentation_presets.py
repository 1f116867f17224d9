"""How strongly patches are augmented, by the names that a recipe uses: one row per preset. No torch needed."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class AugmentationPreset:
    """Probabilities and ranges of nnU-Net's augmentation, in its order; the defaults are its default.

    A `p_…` is the probability that a sample is changed so; `…_per_channel` that one channel of such a sample is.
    Ranges are uniform, those of factors below and above 1 with even chances for either side. Angles follow from the
    patch size (augmentation.augmentation_geometry) and mirrored axes from the recipe.
    """

    p_rotation: float = 0.2
    p_scaling: float = 0.2
    scaling: Range = (0.7, 1.4)
    """Above 1 shrinks what is seen."""
    p_noise: float = 0.1
    noise_variance: Range = (0, 0.1)
    p_blur: float = 0.2
    blur_per_channel: float = 0.5
    blur_sigma_voxels: Range = (0.5, 1.0)
    p_brightness: float = 0.15
    brightness: Range = (0.75, 1.25)
    p_contrast: float = 0.15
    contrast: Range = (0.75, 1.25)
    p_low_resolution: float = 0.25
    low_resolution_per_channel: float = 0.5
    low_resolution_zoom: Range = (0.5, 1)
    p_inverted_gamma: float = 0.1
    p_gamma: float = 0.3
    gamma: Range = (0.7, 1.5)


AUGMENTATIONS: dict[str, AugmentationPreset | None] = {"default": AugmentationPreset(), "none": None}
"""None takes patches as they are (mirrored, if the recipe mirrors)."""
