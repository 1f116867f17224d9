"""From a fingerprint to a plan: the arithmetic of nnU-Net's experiment planners, without a file in sight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserInputError
from ..schema import problem_of
from .caveats import caveats
from .checks import check_input
from .explanation import explain
from .low_resolution import plan_low_resolution
from .machine import Machine
from .normalization import masks_for_normalization, normalization_schemes
from .plan import Configuration, Plan
from .plan_gate import EXISTING
from .plan_json import with_users_configurations
from .presets import FULL_PLANS_NAME, Planner, planner_named
from .resampling import CUBIC_IMAGES
from .sizing import Budget, NothingFitsError, Sizing, size_configuration
from .spacing import Grid, full_resolution_grid

if TYPE_CHECKING:
    from ..dataset.dataset import Dataset
    from ..fingerprint.fingerprint import Fingerprint

NNUNET_STOPS = (
    "nnU-Net itself cannot plan these images, because its arithmetic leaves an axis without a voxel. This plan takes "
    "single slices for 2-D images, and leaves out a low-resolution stage that would lose an axis."
)
STANDARD_CONFIGURATIONS = ("2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres")


def plan_experiments(
    fingerprint: Fingerprint,
    dataset: Dataset,
    planner: str = "plain",
    gpu_memory_gb: float | None = None,
    target_spacing: Sequence[float] | None = None,
    plans_name: str | None = None,
    existing: Mapping[str, Any] | None = None,
    machine: Machine | None = None,
) -> Plan:
    """The plan of how to preprocess and train, as nnU-Net would make it.

    Args:
        planner: a name of `PLANNERS`, or nnU-Net's name of one of them.
        gpu_memory_gb: plan for this much GPU memory (default: what the planner was made for).
        target_spacing: (z, y, x) in mm instead of the dataset's own.
        plans_name: instead of the planner's, e.g. `nnUNetPlans`.
        existing: an earlier plans.json, whose user-added configurations are kept.
        machine: whose pace the explanation tells (default: two examples).

    Raises:
        UserInputError: an option or the fingerprint is unusable; the sentence says which and why.
    """
    preset = planner_named(planner)
    check_input(fingerprint, dataset, gpu_memory_gb, target_spacing)
    budget = Budget(preset, gpu_memory_gb or preset.reference_gb, len(dataset.label_scheme.entries))
    grid = full_resolution_grid(fingerprint, None if target_spacing is None else tuple(target_spacing))
    name = plans_name or preset.plans_name
    nnunet_plans = True
    try:
        configurations = _plan_configurations(budget, grid, fingerprint, dataset, name)
    except NothingFitsError:
        grid = _with_single_slices_first(grid, fingerprint)
        configurations = _plan_where_nnunet_stops(budget, grid, fingerprint, dataset, name)
        nnunet_plans = False
    made = _made_plan(fingerprint, dataset, preset, name, grid, configurations)
    plan = _with_users_configurations(made, existing)
    own = () if nnunet_plans else (NNUNET_STOPS,)
    return replace(
        plan,
        explanation=explain(plan, fingerprint, dataset, machine),
        caveats=(*own, *caveats(plan, fingerprint, dataset)),
    )


def _plan_configurations(
    budget: Budget, grid: Grid, fingerprint: Fingerprint, dataset: Dataset, plans_name: str
) -> dict[str, Configuration]:
    spacing, shape = grid.spacing.tolist(), grid.median_shape.tolist()
    dataset_voxels = float(math.prod(shape) * dataset.num_training)
    schemes = normalization_schemes(dataset.channel_names)
    masks = masks_for_normalization(schemes, fingerprint.median_relative_size_after_cropping)

    def configuration(
        name: str, sizing: Sizing, median_shape: Sequence[float], voxel: Sequence[float], batch_dice: bool
    ) -> Configuration:
        return Configuration(
            name=name,
            data_identifier=data_identifier(budget.planner, plans_name, name),
            batch_size=sizing.batch_size,
            patch_size=sizing.patch_size,
            median_image_size=tuple(median_shape),
            spacing=tuple(voxel),
            normalization_schemes=schemes,
            use_mask_for_norm=masks,
            resampling=CUBIC_IMAGES,
            architecture=sizing.architecture,
            batch_dice=batch_dice,
        )

    sizing_2d = size_configuration(budget, spacing[1:], shape[1:], dataset_voxels)
    planned = [configuration("2d", sizing_2d, shape[1:], spacing[1:], True)]
    if shape[0] != 1:
        sizing = size_configuration(budget, spacing, shape, dataset_voxels)
        low = plan_low_resolution(budget, grid, sizing, dataset.num_training)
        full = configuration("3d_fullres", sizing, shape, spacing, low is not None)
        if low:
            coarse = configuration("3d_lowres", low.sizing, low.median_shape, low.spacing, False)
            cascade = replace(full, name="3d_cascade_fullres", previous_stage=coarse.name)
            planned += [replace(coarse, next_stage=(cascade.name,)), full, cascade]
        else:
            planned.append(full)
    return {one.name: one for one in planned}


def _plan_where_nnunet_stops(
    budget: Budget, grid: Grid, fingerprint: Fingerprint, dataset: Dataset, plans_name: str
) -> dict[str, Configuration]:
    if grid.median_shape.min() < 1:
        size = " × ".join(f"{step:g}" for step in grid.spacing[list(grid.transpose_backward)])
        raise UserInputError(
            f"{dataset.name}: with voxels of {size} mm a median image would be less than one voxel thick; "
            "choose a finer target spacing."
        )
    try:
        return _plan_configurations(replace(budget, careful=True), grid, fingerprint, dataset, plans_name)
    except NothingFitsError:
        raise UserInputError(
            f"{dataset.name}: no network fits into {budget.gpu_memory_gb:g} GB of GPU memory; plan for more "
            "(--gpu-memory-gb)."
        ) from None


def _with_single_slices_first(grid: Grid, fingerprint: Fingerprint) -> Grid:
    """2-D images stored along another axis than the first are 2-D images all the same."""
    single = [grid.transpose_forward[axis] for axis in range(3) if grid.median_shape[axis] == 1]
    if not single:
        return grid
    spacing = grid.spacing[list(grid.transpose_backward)]
    return full_resolution_grid(fingerprint, tuple(spacing.tolist()), first_axis=min(single))


def data_identifier(planner: Planner, plans_name: str, configuration: str) -> str:
    """The folder of the preprocessed cases, which some planners share with the plain one."""
    shared = planner.shares_plain_data and configuration in ("2d", "3d_fullres")
    return f"{FULL_PLANS_NAME if shared else plans_name}_{configuration}"


def _made_plan(
    fingerprint: Fingerprint,
    dataset: Dataset,
    planner: Planner,
    plans_name: str,
    grid: Grid,
    configurations: dict[str, Configuration],
) -> Plan:
    forward = list(grid.transpose_forward)
    median_shape = np.median(fingerprint.shapes_after_crop, axis=0)[forward].tolist()
    return Plan(
        dataset_name=dataset.name,
        plans_name=plans_name,
        original_median_spacing=tuple(np.median(fingerprint.spacings, axis=0)[forward].tolist()),
        original_median_shape=tuple(round(edge) for edge in median_shape),
        image_io=dataset.image_io,
        transpose_forward=grid.transpose_forward,
        transpose_backward=grid.transpose_backward,
        foreground_intensities=fingerprint.foreground_intensities,
        planner=planner.nnunet_class,
        configurations=configurations,
    )


def _with_users_configurations(plan: Plan, existing: Mapping[str, Any] | None) -> Plan:
    """Append what a user added; the standard names are the planner's, so that none outlives its data."""
    if existing is None:
        return plan
    problem = problem_of(EXISTING, existing)
    if problem is not None:
        raise UserInputError(f"The existing plans cannot be used ({problem}); delete that file and plan again.")
    kept = existing["configurations"]
    own = (*STANDARD_CONFIGURATIONS, *plan.configurations)
    return with_users_configurations(plan, {name: entry for name, entry in kept.items() if name not in own})
