"""Where a plan will disappoint, said before days are spent on it."""

from __future__ import annotations

from collections.abc import Iterator

from ..dataset.dataset import Dataset
from ..fingerprint.fingerprint import Fingerprint
from .explanation import times
from .plan import Configuration, Plan

FOLDS = 5


def caveats(plan: Plan, fingerprint: Fingerprint, dataset: Dataset) -> tuple[str, ...]:
    """One sentence for each weakness of the plan for this dataset."""
    return (
        *_few_cases(len(fingerprint.spacings)),
        *_wrong_count(fingerprint, dataset),
        *_odd_axis(plan),
        *_unlike_images(fingerprint),
        *_shared_data(plan),
        *(
            line
            for configuration in plan.configurations.values()
            if configuration.previous_stage is None
            for line in _configuration(configuration, len(fingerprint.spacings))
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
    for axis, name in enumerate("zyx"):
        steps = [spacing[axis] for spacing in fingerprint.spacings]
        if max(steps) > 4 * min(steps):
            yield (
                f"Voxels along {name} are between {min(steps):.3g} and {max(steps):.3g} mm; resampled to one size, the "
                "coarsest images will look blurred beside the finest."
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


def _configuration(configuration: Configuration, cases: int) -> Iterator[str]:
    name, batch = configuration.name, configuration.batch_size
    if batch > cases and configuration.architecture.dimensions == 3:
        yield (
            f"{name}: a batch of {batch} is larger than the dataset of {cases} cases, so every step sees most of them; "
            "the network may learn them by heart."
        )
    stages = len(configuration.architecture.strides)
    if stages < 3:
        yield (
            f"{name}: a median image has only {times(configuration.median_image_size)} voxels, so the U-Net has "
            f"{stages} resolution{'s' if stages > 1 else ''} and sees little context; use finer or larger images."
        )
    padded = max(
        patch / max(edge, 1)
        for patch, edge in zip(configuration.patch_size, configuration.median_image_size, strict=True)
    )
    if padded >= 1.5:
        yield (
            f"{name}: the patch of {times(configuration.patch_size)} is larger than a median image "
            f"({times(configuration.median_image_size)} voxels), so part of what is computed is padding."
        )
