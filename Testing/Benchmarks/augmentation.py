"""Milliseconds of processor time per augmented sample, nnU-Net's and ours in one run, one thread.

    OMP_NUM_THREADS=1 python Testing/Benchmarks/augmentation.py     # about a minute; needs nnunetv2 2.8.1

Cutting the patch out is part of both. Images are noise with two nested boxes as labels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from SegAutoPlanLib.preprocessing import TrainingCase
from SegAutoPlanLib.training.augmentation.apply import apply_changes
from SegAutoPlanLib.training.augmentation.drawing import Subject, draw_changes
from SegAutoPlanLib.training.augmentation.geometry import augmentation_geometry
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS
from SegAutoPlanLib.training.sampling import cut_patch, draw_corner

SIZES = (((40, 56, 40), (38, 50, 36), 150), ((96, 96, 96), (130, 200, 200), 20), ((20, 160, 160), (40, 300, 300), 20))
"""Patch, image and how many samples."""
ROUNDS = 3
PRESET = AUGMENTATIONS["default"]


def case_of(shape: tuple[int, ...]) -> TrainingCase:
    labels = np.zeros(shape, np.int8)
    labels[tuple(slice(extent // 3, extent // 3 * 2) for extent in shape)] = 1
    labels[tuple(slice(extent // 2, extent // 3 * 2) for extent in shape)] = 2
    locations = {value: np.argwhere(labels == value)[:500] for value in (1, 2)}
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    return TrainingCase(image, labels, locations)


def ours(case: TrainingCase, patch: tuple[int, ...]) -> Callable[[int], object]:
    geometry = augmentation_geometry(patch, PRESET.space)
    subject = Subject(1, geometry, (0, 1, 2))

    def sample(number: int) -> object:
        rng = np.random.default_rng((1, number))
        lower = draw_corner(case, rng, geometry.crop_size, patch, number % 3 == 0)
        drawn, crop = draw_changes(PRESET.space, PRESET.steps, subject, rng), geometry.crop_size
        if drawn.space is None:
            lower = [low + a // 2 - b // 2 for low, a, b in zip(lower, crop, patch, strict=True)]
            crop = patch
        cut = cut_patch(case, lower, crop)
        return apply_changes(torch.from_numpy(cut.image), torch.from_numpy(cut.labels)[None], drawn, patch)

    return sample


def nnunets(case: TrainingCase, patch: tuple[int, ...]) -> Callable[[int], object]:
    geometry = augmentation_geometry(patch, PRESET.space)
    angle = math.pi if geometry.in_plane_only else math.radians(30)
    transforms = nnUNetTrainer.get_training_transforms(
        patch, (-angle, angle), None, (0, 1, 2), geometry.in_plane_only, use_mask_for_norm=[False]
    )

    def sample(number: int) -> object:
        rng = np.random.default_rng((1, number))
        lower = draw_corner(case, rng, geometry.crop_size, patch, number % 3 == 0)
        box = [[low, low + extent] for low, extent in zip(lower, geometry.crop_size, strict=True)]
        image = torch.from_numpy(crop_and_pad_nd(case.data, box, 0)).float()
        labels = torch.from_numpy(crop_and_pad_nd(case.segmentation[None], box, -1)).to(torch.int16)
        return transforms(image=image, segmentation=labels)

    return sample


def main() -> None:
    torch.set_num_threads(1)
    for patch, shape, samples in SIZES:
        case = case_of(shape)
        for name, make in (("nnU-Net", nnunets), ("SegAutoPlan", ours)):
            sample, spent = make(case, patch), []
            for _ in range(ROUNDS):
                started = time.process_time()
                for number in range(samples):
                    sample(number)
                spent.append((time.process_time() - started) / samples * 1000)
            print(f"{patch} {name:12} {' '.join(f'{ms:.1f}' for ms in spent)} ms per sample", flush=True)


if __name__ == "__main__":
    main()
