"""How patches are augmented, by the names that a recipe uses: one row per preset. No torch needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .augmentation.ranges import (
    DEFAULT_SPACE,
    AxisSwaps,
    BlankBoxes,
    Blur,
    Brightness,
    BrightnessGradient,
    BrightnessShift,
    Contrast,
    Gamma,
    LocalGamma,
    LowResolution,
    MedianFilter,
    Mirror,
    Noise,
    OneOf,
    QuarterTurns,
    Ranges,
    Sharpening,
    SpaceRanges,
)


@dataclass(frozen=True)
class AugmentationPreset:
    """What happens to a patch, in this order; the defaults are nnU-Net's default."""

    space: SpaceRanges | None = DEFAULT_SPACE
    """None crops patches as they are, and leaves masked channels alone."""
    steps: tuple[Ranges, ...] = (
        Noise(),
        Blur(),
        Brightness(),
        Contrast(),
        LowResolution(),
        Gamma(p=0.1, inverted=True),
        Gamma(p=0.3),
        Mirror(),
    )

    @property
    def bends(self) -> bool:
        """Whether some patches are deformed elastically, for which batchgenerators is needed."""
        return self.space is not None and self.space.p_elastic > 0

    @property
    def suits_a_gpu(self) -> bool:
        """Whether a graphics card can do all of it: bending and median filters are computed by the processor."""
        steps = [choice for step in self.steps for choice in (step.choices if isinstance(step, OneOf) else (step,))]
        return not self.bends and not any(isinstance(step, MedianFilter) for step in steps)


DEFAULT = AugmentationPreset()

DA5 = AugmentationPreset(
    space=SpaceRanges(
        p_rotation=0.4, rotation_per_axis=0.5, scaling=(0.7, 1.43), scaling_per_axis=True, crop_margin=0.7
    ),
    steps=(
        QuarterTurns(p=0.5),
        AxisSwaps(p=0.5),
        OneOf(
            (
                MedianFilter(p=0.2, per_channel=0.5, edge_voxels=(2, 8)),
                Blur(p=0.2, per_channel=0.5, sigma_voxels=(0.3, 1.5), per_axis=False),
            )
        ),
        Noise(),
        BrightnessShift(p=0.1, per_channel=0.5, deviation=0.5),
        Contrast(p=0.2, per_channel=0.5, factor=(0.5, 2.0), keeps_range=0.5),
        LowResolution(p=0.15, zoom=(0.25, 1.0)),
        # Twice inverted is no slip of ours: so it is in nnU-Net.
        Gamma(p=0.1, inverted=True),
        Gamma(p=0.1, inverted=True),
        Mirror(),
        BlankBoxes(p=0.4, per_channel=0.5, count=(1, 5), edge_shares=(10, 3)),
        BrightnessGradient(p=0.3, per_channel=0.5, centre=(-0.5, 1.5), narrowest=6, strength=(1.0, 5.0)),
        LocalGamma(p=0.3, per_channel=0.5, centre=(-0.5, 1.5), narrowest=6, exponents=((0.01, 0.8), (1.5, 4.0))),
        Sharpening(p=0.2, per_channel=0.5, strength=(0.1, 1.0)),
    ),
)
"""nnU-Net's stronger family."""


def _with_space(preset: AugmentationPreset, **changes: object) -> AugmentationPreset:
    return replace(preset, space=replace(preset.space, **changes))


AUGMENTATIONS: dict[str, AugmentationPreset] = {
    "default": DEFAULT,
    "none": AugmentationPreset(space=None, steps=(Mirror(),)),
    "elastic": _with_space(DEFAULT, p_elastic=0.2),
    "order0_labels": _with_space(DEFAULT, nearest_labels=True),
    "no_dummy_2d": _with_space(DEFAULT, in_plane_if_anisotropic=False),
    "da5": DA5,
    "da5_order0_labels": _with_space(DA5, nearest_labels=True),
    "da5_order0": _with_space(DA5, nearest_labels=True, nearest_image=True),
}
"""`none` still mirrors, if the recipe does."""
