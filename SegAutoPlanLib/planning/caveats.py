"""Where a plan will disappoint, said before days are spent on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .explanation import seen_part, times
from .plan import Configuration, Plan
from .presets import MINIMUM_BATCH_SIZE, PLANNERS

if TYPE_CHECKING:
    from ..dataset.dataset import Dataset
    from ..fingerprint.fingerprint import Fingerprint

FOLDS = 5
LARGE_PART = 0.25
"""Of the dataset's voxels in one batch."""


def caveats(plan: Plan, fingerprint: Fingerprint, dataset: Dataset) -> tuple[str, ...]:
    """One sentence for each weakness of the plan for this dataset."""
    return (
        *_few_cases(len(fingerprint.spacings)),
        *_wrong_count(fingerprint, dataset),
        *_odd_axis(plan),
        *_unlike_images(fingerprint),
        *_vanishing_cases(plan, fingerprint, dataset),
        *_shared_data(plan),
        *(
            line
            for configuration in plan.configurations.values()
            if configuration.previous_stage is None
            for line in _configuration(plan, configuration, len(fingerprint.spacings))
        ),
    )


def _few_cases(cases: int) -> Iterator[str]:
    if cases == 1:
        yield (
            "There is one training case: it trains and validates on itself, so that nothing tells how well the network "
            "does on other images. Label more."
        )
    elif cases < FOLDS:
        yield (
            f"There are {cases} training cases, fewer than the {FOLDS} folds of a cross-validation: each fold leaves "
            "one case out, and their Dice will scatter widely. Label more."
        )


def _wrong_count(fingerprint: Fingerprint, dataset: Dataset) -> Iterator[str]:
    cases = len(fingerprint.spacings)
    if dataset.num_training != cases:
        yield (
            f"dataset.json says numTraining {dataset.num_training}, but there are {cases} cases; the batch size was "
            "planned with the former, as nnU-Net does. Correct it and plan again."
        )


def _odd_axis(plan: Plan) -> Iterator[str]:
    """Images of one slice that lie along another axis than the one that leads."""
    shape = plan.original_median_shape
    if 1 in shape[1:] and shape[0] != 1:
        yield (
            f"The images are {times(shape)} voxels, single slices along an axis that is not the coarsest: 2d would see "
            "lines one voxel wide. Store them with a large spacing along that axis."
        )


def _unlike_images(fingerprint: Fingerprint) -> Iterator[str]:
    steps = [[spacing[axis] for spacing in fingerprint.spacings] for axis in range(3)]
    axis = max(range(3), key=lambda candidate: max(steps[candidate]) / min(steps[candidate]))
    finest, coarsest = min(steps[axis]), max(steps[axis])
    if coarsest > 4 * finest:
        yield (
            f"Voxels along {'zyx'[axis]} are between {finest:.3g} and {coarsest:.3g} mm; resampled to one size, the "
            "coarsest images will look blurred beside the finest."
        )


def _vanishing_cases(plan: Plan, fingerprint: Fingerprint, dataset: Dataset) -> Iterator[str]:
    """Cases so thin that resampling leaves an axis without a voxel, on which preprocessing stops."""
    full = plan.configurations.get("3d_fullres")
    if full is None:
        return
    target = [full.spacing[axis] for axis in plan.transpose_backward]
    for index, (spacing, shape) in enumerate(zip(fingerprint.spacings, fingerprint.shapes_after_crop, strict=True)):
        if any(round(old / new * edge) < 1 for old, new, edge in zip(spacing, target, shape, strict=True)):
            name = dataset.cases[index].identifier if index < len(dataset.cases) else f"case number {index + 1}"
            yield (
                f"{name} ({times(shape)} voxels of {times(spacing)} mm) is thinner than half a voxel of the plan; "
                "remove it, or plan with a finer target spacing."
            )


def _shared_data(plan: Plan) -> Iterator[str]:
    full = plan.configurations.get("3d_fullres") or plan.configurations["2d"]
    median = plan.original_median_spacing[-len(full.spacing) :]
    own = full.data_identifier.startswith(f"{plan.plans_name}_")
    asked = any(abs(a - b) > 1e-6 * b for a, b in zip(full.spacing[1:], median[1:], strict=True))
    if asked and not own:
        yield (
            f"The preprocessed images go to {full.data_identifier}, which other plans use with another voxel size; "
            "preprocess again after switching between them."
        )


def _configuration(plan: Plan, configuration: Configuration, cases: int) -> Iterator[str]:
    name, median = configuration.name, times(configuration.median_image_size)
    yield from _large_batch(plan, configuration, cases)
    stages = len(configuration.architecture.strides)
    if stages < 3:
        yield (
            f"{name}: a median image has only {median} voxels, so the U-Net has {stages} "
            f"resolution{'s' if stages > 1 else ''} and sees little context; use finer or larger images."
        )
    padded = max(
        patch / max(edge, 1)
        for patch, edge in zip(configuration.patch_size, configuration.median_image_size, strict=True)
    )
    if padded >= 1.5:
        yield (
            f"{name}: the patch of {times(configuration.patch_size)} voxels is larger than a median image ({median}), "
            "so part of what is computed is padding."
        )


def _large_batch(plan: Plan, configuration: Configuration, cases: int) -> Iterator[str]:
    """nnU-Net's plain planner bounds a batch by a part of the dataset's voxels, its residual ones hardly do."""
    name, batch = configuration.name, configuration.batch_size
    whole_images = configuration.architecture.dimensions == 3 or "3d_fullres" not in plan.configurations
    if whole_images and batch > cases:
        yield (
            f"{name}: a batch of {batch} is larger than the dataset ({cases} case{'s' if cases > 1 else ''}), so that "
            "every step repeats cases; the network may learn them by heart."
        )
        return
    image = (plan.configurations.get("3d_fullres") or configuration).median_image_size
    if configuration.name == "3d_lowres":
        image = configuration.median_image_size
    part = batch * seen_part(configuration) * math.prod(configuration.median_image_size) / math.prod(image) / cases
    if part > LARGE_PART and batch > MINIMUM_BATCH_SIZE:
        yield (
            f"{name}: a batch of {batch} holds {100 * part:.0f} % of all training voxels, so that steps are long and "
            f"alike; the plain planner keeps to {100 * PLANNERS['plain'].batch_covers_at_most:.0f} %."
        )
