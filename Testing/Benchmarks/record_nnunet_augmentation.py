"""Record what nnU-Net's transforms (batchgeneratorsv2) make of a small patch, parameters given: no chance is left.

python Testing/Benchmarks/record_nnunet_augmentation.py     # seconds; needs nnunetv2 2.8.1
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.local.local_gamma import LocalGammaTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.noise.median_filter import MedianFilterTransform
from batchgeneratorsv2.transforms.noise.sharpen import SharpeningTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

FIXTURE = Path(__file__).resolve().parents[1] / "Fixtures" / "augmentation.npz"
SHAPE = (9, 10, 12)
PATCHES = {3: (5, 7, 6), 2: (6, 5)}
CROPS = {3: (9, 11, 10), 2: (10, 9)}
ANGLES = {3: (0.3, -0.2, 0.5), 2: (0.7,)}
SCALE = 1.3


def image_of(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).normal(size=(1, *shape)).astype(np.float32))


def labels_of(shape: tuple[int, ...]) -> torch.Tensor:
    labels = np.zeros(shape, np.int16)
    labels[tuple(slice(extent // 4, extent // 2 + 2) for extent in shape)] = 1
    labels[tuple(slice(extent // 2, extent // 4 * 3 + 1) for extent in shape)] = 2
    labels[0] = -1
    return torch.from_numpy(labels)


def record_values() -> dict[str, torch.Tensor]:
    only, yes = torch.tensor([0]), torch.tensor([True])
    local = LocalGammaTransform(scale=lambda _shape, axis: (3.0, 4.0, 9.0)[axis], loc=lambda _s, a: (0.3, -0.2, 1.2)[a])
    kernel = local._generate_kernel(SHAPE)

    def changed(transform: object, **parameters: object) -> torch.Tensor:
        return transform._apply_to_image(image_of(SHAPE), **parameters)

    def gamma(inverted: bool) -> torch.Tensor:
        parameters = {"retain_stats": yes, "invert_image": torch.tensor([inverted]), "gamma": torch.tensor([0.8])}
        return changed(GammaTransform(1.0, 0, False, 1, 1), apply_to_channel=only, **parameters)

    def contrast(keeps: bool) -> torch.Tensor:
        return changed(ContrastTransform(1.0, keeps, False), apply_to_channel=only, multipliers=torch.tensor([1.2]))

    return {
        "blur": changed(GaussianBlurTransform(), apply_to_channel=yes, sigmas=[[0.5, 0.77, 1.0]]),
        "gamma": gamma(False),
        "gamma_inverted": gamma(True),
        "contrast": contrast(True),
        "contrast_unclipped": contrast(False),
        "low_resolution": changed(
            SimulateLowResolutionTransform(1.0, False, True, None),
            apply_to_channel=only,
            scales=torch.tensor([[0.63] * 3]),
        ),
        "sharpening": changed(SharpeningTransform(), apply_channel=[True], strengths=[0.6], clamp_intensities=[False]),
        "median": changed(MedianFilterTransform(4), apply_channel=[True], filter_sizes=[4]),
        "local_gamma": changed(local, kernels=[kernel], gammas=[0.3]),
        "bump": torch.from_numpy(kernel),
    }


def record_space(axes: int, mode: str) -> dict[str, torch.Tensor]:
    angles = ANGLES[axes]
    transform = SpatialTransform(
        PATCHES[axes],
        0,
        random_crop=False,
        p_rotation=1,
        rotation=lambda image, dim: angles[min(dim, len(angles) - 1)],
        p_scaling=1,
        scaling=(SCALE, SCALE),
        p_synchronize_scaling_across_axes=1,
        mode_image=mode,
        mode_seg=mode,
        border_mode_seg="constant",
        padding_value_seg=-1,
    )
    image, labels = image_of(CROPS[axes]), labels_of(CROPS[axes])
    parameters = transform.get_parameters(image=image)
    return {
        f"space_{axes}_{mode}_image": transform._apply_to_image(image, **parameters),
        f"space_{axes}_{mode}_labels": transform._apply_to_segmentation(labels[None], **parameters)[0],
    }


def main() -> None:
    recorded = record_values()
    for axes in (2, 3):
        for mode in ("bilinear", "nearest"):
            recorded |= record_space(axes, mode)
    np.savez_compressed(FIXTURE, **{name: array.numpy() for name, array in recorded.items()})


if __name__ == "__main__":
    main()
