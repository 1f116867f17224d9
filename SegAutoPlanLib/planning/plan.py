"""The plan: everything that was decided about preprocessing, network and batches, as plans.json holds it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import UserInputError


@dataclass(frozen=True)
class Architecture:
    """The network of one configuration; lists run from full resolution down, axes in transposed order."""

    kind: str
    """`plain` or `residual`."""
    features_per_stage: tuple[int, ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    blocks_per_stage: tuple[int, ...]
    """Convolutions (plain) or residual blocks (residual) of each encoder stage."""
    convs_per_decoder_stage: tuple[int, ...]

    @property
    def dimensions(self) -> int:
        return len(self.strides[0])


@dataclass(frozen=True)
class Configuration:
    """One way to train: `2d`, `3d_fullres`, `3d_lowres`, `3d_cascade_fullres` or a user's own.

    `spacing` (mm), `patch_size` and `median_image_size` (voxels) are in transposed axis order, two numbers
    each for 2d and three otherwise. `resampling` holds plans.json's six `resampling_fn_*` entries as they
    stand.
    """

    name: str
    data_identifier: str
    batch_size: int
    patch_size: tuple[int, ...]
    median_image_size: tuple[float, ...]
    spacing: tuple[float, ...]
    normalization_schemes: tuple[str, ...]
    use_mask_for_norm: tuple[bool, ...]
    resampling: dict[str, Any]
    architecture: Architecture
    batch_dice: bool
    preprocessor_name: str = "DefaultPreprocessor"
    previous_stage: str | None = None
    next_stage: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A whole plans.json. `str(plan)` explains it in words; `to_json` is what nnU-Net reads.

    To change a plan, change `to_json()` and build a new one with `plan_from_json`: the document is the truth,
    the other fields are read from it.
    """

    dataset_name: str
    plans_name: str
    original_median_spacing: tuple[float, ...]
    original_median_shape: tuple[int, ...]
    image_io: str
    transpose_forward: tuple[int, ...]
    transpose_backward: tuple[int, ...]
    configurations: dict[str, Configuration]
    """Resolved: `inherits_from` has been followed. The unusable are left out, and `warnings` says why."""
    foreground_intensities: tuple[dict[str, float], ...]
    """One dict a channel with the keys of `fingerprint.Intensities`."""
    planner: str
    document: dict[str, Any] = field(repr=False, default_factory=dict)
    """plans.json as it stands (unknown keys and user-made configurations included)."""
    explanation: tuple[str, ...] = ()
    """Sentences: what was decided, and why."""
    warnings: tuple[str, ...] = ()
    """Sentences: where this plan may disappoint."""

    def __str__(self) -> str:
        return "\n".join([*self.explanation, *(f"Warning: {line}" for line in self.warnings)])

    def to_json(self) -> dict[str, Any]:
        """plans.json, keys in nnU-Net's order; a plan that was read comes back as it was in the file."""
        return copy.deepcopy(self.document)

    def configuration(self, name: str) -> Configuration:
        """The configuration of that name.

        Raises:
            UserInputError: the plan has none, or it cannot be used here.
        """
        if name in self.configurations:
            return self.configurations[name]
        problem = next((line for line in self.warnings if line.startswith(f"{name}: ")), None)
        if problem:
            raise UserInputError(problem)
        known = ", ".join(self.configurations)
        raise UserInputError(f"{self.plans_name}: there is no configuration {name!r}; choose one of {known}.")

    def with_words(self, explanation: tuple[str, ...], warnings: tuple[str, ...]) -> Plan:
        return replace(self, explanation=explanation, warnings=warnings)
