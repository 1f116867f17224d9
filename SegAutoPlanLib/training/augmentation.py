"""nnU-Net's augmentation, in its order, through batchgenerators; how strong it is says the preset.

batchgenerators draws from the global generators of numpy and of Python; `Augmentation` seeds both for each sample, so
what happens to a sample depends on nothing but its seed.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UserInputError
from .augmentation_presets import AugmentationPreset
from .sampling import PADDING_LABEL, Patch

ANISOTROPY = 3
CROP_MARGIN = 0.85
"""The crop is enlarged by 1/0.85 for downscaling; larger zooms show padding at the border, as in nnU-Net."""


@dataclass(frozen=True)
class AugmentationGeometry:
    """What follows from the patch size. Sizes have two (2d) or three axes, in voxels, transposed axis order."""

    patch_size: tuple[int, ...]
    crop_size: tuple[int, ...]
    """What is cropped, so that a rotated patch has something to show in its corners."""
    rotation: float
    """Largest angle about each axis, in radians, both ways."""
    in_plane_only: bool
    """Anisotropic patches are rotated and scaled slice by slice (nnU-Net's dummy 2D)."""


def augmentation_geometry(patch_size: tuple[int, ...]) -> AugmentationGeometry:
    """Rotation range and enlarged crop for a patch, by nnU-Net's rules."""
    if len(patch_size) == 2:
        in_plane_only = False
        degrees = 15 if max(patch_size) / min(patch_size) > 1.5 else 180
    else:
        in_plane_only = max(patch_size) / patch_size[0] > ANISOTROPY
        degrees = 180 if in_plane_only else 30
    angle = math.radians(degrees)
    crop = _enlarged(patch_size, angle)
    if in_plane_only:
        crop = (patch_size[0], *crop[1:])
    return AugmentationGeometry(patch_size, crop, angle, in_plane_only)


def _enlarged(patch_size: tuple[int, ...], angle: float) -> tuple[int, ...]:
    """The farthest that the patch's corner gets along each axis when turned about one axis, over the margin."""
    angle = min(angle, math.pi / 2)
    c, s = math.cos(angle), math.sin(angle)
    corner = np.array(patch_size, dtype=float)
    if len(patch_size) == 2:
        turns = [np.array([[c, s], [-s, c]])]
    else:
        turns = [
            np.array([[1, 0, 0], [0, c, s], [0, -s, c]]),
            np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]),
            np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]),
        ]
    reach = np.max([corner, *(np.abs(turn @ corner) for turn in turns)], axis=0)
    return tuple(int(extent) for extent in reach / CROP_MARGIN)


class Augmentation:
    """Patch and seed → augmented patch of the final size.

    Args:
        preset: how strongly; None only crops (and mirrors).
        mirror_axes: spatial axes along which a coin decides.
        masked_channels: are set to 0 where the label is -1 (outside the crop), as their normalisation did.
    """

    def __init__(
        self,
        geometry: AugmentationGeometry,
        preset: AugmentationPreset | None,
        mirror_axes: tuple[int, ...],
        masked_channels: tuple[int, ...] = (),
    ) -> None:
        self._geometry = geometry
        self._preset = preset
        # nnU-Net leaves them as they are where it does not augment.
        self._masked_channels = [] if preset is None else list(masked_channels)
        if preset is not None:
            transforms = load_transforms()
            self._spatial = _spatial_transform(transforms, geometry, preset)
            self._intensity = transforms.Compose(_intensity_transforms(transforms, geometry, preset))
        self._mirror = load_transforms().MirrorTransform(mirror_axes) if mirror_axes else None

    @property
    def crop_size(self) -> tuple[int, ...]:
        """The size of the patches that are taken."""
        return self._geometry.patch_size if self._preset is None else self._geometry.crop_size

    def __call__(self, patch: Patch, seed: int) -> Patch:
        """`patch` arrays have the `crop_size` (2d: without the slice axis)."""
        np.random.seed(seed % 2**32)
        random.seed(seed)
        maps = [patch.labels] if patch.previous is None else [patch.labels, patch.previous]
        data, seg = patch.image[None], np.stack(maps)[None]
        if self._preset is None:
            batch = {"data": data, "seg": seg}
        else:
            batch = self._intensity(**self._transform_space(data, seg.astype(np.float32)))
        if self._mirror is not None:
            batch = self._mirror(**batch)
        image, (labels, *previous) = batch["data"][0], np.rint(batch["seg"][0]).astype(np.int16)
        if self._masked_channels:
            image[self._masked_channels] *= labels >= 0
        return Patch(
            np.ascontiguousarray(image, dtype=np.float32),
            np.ascontiguousarray(labels),
            previous[0] if previous else None,
        )

    def _transform_space(self, data: np.ndarray, seg: np.ndarray) -> dict[str, Any]:
        if not self._geometry.in_plane_only:
            return self._spatial(data=data, seg=seg)
        # Slices become channels, so that every slice is turned by the same angle in its plane.
        channels, depth = data.shape[1:3]
        maps = seg.shape[1]
        batch = self._spatial(
            data=data.reshape(1, channels * depth, *data.shape[3:]), seg=seg.reshape(1, maps * depth, *seg.shape[3:])
        )
        in_plane = batch["data"].shape[2:]
        batch["data"] = batch["data"].reshape(1, channels, depth, *in_plane)
        batch["seg"] = batch["seg"].reshape(1, maps, depth, *in_plane)
        return batch


def _spatial_transform(transforms: Any, geometry: AugmentationGeometry, preset: AugmentationPreset) -> Any:
    in_plane = geometry.patch_size[1:] if geometry.in_plane_only else geometry.patch_size
    angles = (-geometry.rotation, geometry.rotation)
    still = (0.0, 0.0)
    return transforms.SpatialTransform(
        in_plane,
        do_elastic_deform=False,
        angle_x=angles,
        angle_y=angles if len(in_plane) == 3 else still,
        angle_z=angles if len(in_plane) == 3 else still,
        p_rot_per_sample=preset.p_rotation,
        scale=preset.scaling,
        p_scale_per_sample=preset.p_scaling,
        border_mode_data="constant",
        border_cval_seg=PADDING_LABEL,
        order_data=1,
        order_seg=1,
        random_crop=False,
    )


def _intensity_transforms(transforms: Any, geometry: AugmentationGeometry, preset: AugmentationPreset) -> list[Any]:
    return [
        transforms.GaussianNoiseTransform(preset.noise_variance, p_per_sample=preset.p_noise),
        transforms.GaussianBlurTransform(
            preset.blur_sigma_voxels, p_per_sample=preset.p_blur, p_per_channel=preset.blur_per_channel
        ),
        transforms.BrightnessMultiplicativeTransform(preset.brightness, p_per_sample=preset.p_brightness),
        transforms.ContrastAugmentationTransform(preset.contrast, p_per_sample=preset.p_contrast),
        transforms.SimulateLowResolutionTransform(
            zoom_range=preset.low_resolution_zoom,
            per_channel=True,
            p_per_channel=preset.low_resolution_per_channel,
            order_downsample=0,
            order_upsample=1,
            p_per_sample=preset.p_low_resolution,
            ignore_axes=(0,) if geometry.in_plane_only else None,
        ),
        transforms.GammaTransform(preset.gamma, True, True, retain_stats=True, p_per_sample=preset.p_inverted_gamma),
        transforms.GammaTransform(preset.gamma, False, True, retain_stats=True, p_per_sample=preset.p_gamma),
    ]


class _Transforms:
    """The classes that we use of batchgenerators, which keeps each in a module of its own."""

    def __init__(self) -> None:
        from batchgenerators.transforms import (
            abstract_transforms,
            color_transforms,
            noise_transforms,
            resample_transforms,
            spatial_transforms,
        )

        for module in (
            abstract_transforms,
            color_transforms,
            noise_transforms,
            resample_transforms,
            spatial_transforms,
        ):
            vars(self).update({name: value for name, value in vars(module).items() if isinstance(value, type)})


def load_transforms() -> Any:
    """batchgenerators' transforms by their names.

    Raises:
        UserInputError: it, or something that it needs, is not installed.
    """
    try:
        return _Transforms()
    except ModuleNotFoundError as error:
        raise UserInputError(
            f"Training needs the Python package batchgenerators, and {error.name} is not installed; "
            "install it with: pip install batchgenerators"
        ) from error
