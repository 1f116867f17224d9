"""From logits on the network's grid to a segmentation on the image's, a few slices at a time.

The label of a voxel is the argmax of linearly interpolated logits. Interpolating all classes of a slab of slices and
taking their argmax at once needs memory for a slab, where resampling whole class volumes first needs it for all of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..labels import LabelScheme
from ..planning.plan import Configuration, Plan
from ..planning.resampling import Resampler
from ..preprocessing.resampling import separate_axis

SLAB_BYTES = 128 * 2**20


@dataclass(frozen=True)
class AxisInterpolation:
    """Voxel i of the new axis is (1 - fraction[i]) * old[lower[i]] + fraction[i] * old[upper[i]]."""

    lower: np.ndarray
    upper: np.ndarray
    fraction: np.ndarray

    def part(self, start: int, stop: int) -> AxisInterpolation:
        return AxisInterpolation(self.lower[start:stop], self.upper[start:stop], self.fraction[start:stop])

    def shifted(self, offset: int) -> AxisInterpolation:
        return AxisInterpolation(self.lower - offset, self.upper - offset, self.fraction)


def axis_interpolation(size: int, new_size: int, nearest: bool = False) -> AxisInterpolation:
    """Linear (or nearest) interpolation between grids that share their outer edges; edge values continue."""
    position = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    if nearest:
        index = np.minimum(np.floor(position + 0.5).astype(int), size - 1)
        return AxisInterpolation(index, index, np.zeros(new_size, dtype=np.float32))
    position = position.clip(0, size - 1)
    lower = np.floor(position).astype(int)
    return AxisInterpolation(lower, np.minimum(lower + 1, size - 1), (position - lower).astype(np.float32))


def grid_interpolation(
    shape: Sequence[int],
    new_shape: Sequence[int],
    spacing: Sequence[float],
    new_spacing: Sequence[float],
    resampler: Resampler,
) -> list[AxisInterpolation]:
    """One interpolation an axis, by the plan's resampler of probabilities.

    A much coarser axis is taken by nearest neighbour where `order_z` is 0 (nnU-Net's separate z).
    """
    separate = separate_axis(spacing, new_spacing, resampler.force_separate_z)
    nearest = [axis == separate and resampler.order_z == 0 for axis in range(3)]
    return [axis_interpolation(s, n, near) for s, n, near in zip(shape, new_shape, nearest, strict=True)]


def resampled_slabs(logits: Tensor, grid: Sequence[AxisInterpolation]) -> Iterator[tuple[slice, Tensor]]:
    """Slabs (heads, slices, y, x) of the resampled logits, first axis ascending, with the slices they cover."""
    depth, height, width = (len(axis.lower) for axis in grid)
    per_slice = 4 * logits.shape[0] * max(height, logits.shape[2]) * max(width, logits.shape[3])
    thickness = max(1, SLAB_BYTES // (3 * per_slice))
    for start in range(0, depth, thickness):
        along = grid[0].part(start, min(start + thickness, depth))
        first, last = int(along.lower.min()), int(along.upper.max())
        slab = logits[:, first : last + 1].float()
        # The axis that shrinks most goes first, so that the others have less to do.
        steps = {1: along.shifted(first), 2: grid[1], 3: grid[2]}
        for axis in sorted(steps, key=lambda a: len(steps[a].lower) / slab.shape[a]):
            slab = _interpolate(slab, axis, steps[axis])
        yield slice(start, min(start + thickness, depth)), slab


def _interpolate(values: Tensor, axis: int, along: AxisInterpolation) -> Tensor:
    if len(along.lower) == values.shape[axis] and not along.fraction.any():
        return values
    device = values.device
    lower = values.index_select(axis, torch.from_numpy(along.lower).to(device))
    if not along.fraction.any():
        return lower
    upper = values.index_select(axis, torch.from_numpy(along.upper).to(device))
    fraction = torch.from_numpy(along.fraction).to(device).view([-1 if a == axis else 1 for a in range(values.ndim)])
    return torch.lerp(lower, upper, fraction)


def logits_to_segmentation(logits: Tensor, label_scheme: LabelScheme) -> Tensor:
    """(heads, …) → label values (…): the most probable label, or regions painted in `regions_class_order`."""
    if not label_scheme.has_regions:
        return logits.argmax(0)
    result = torch.zeros(logits.shape[1:], dtype=torch.int64, device=logits.device)
    for head, value in zip(logits, label_scheme.regions_class_order, strict=True):
        result[head > 0] = value
    return result


@dataclass(frozen=True)
class Exported:
    """On the image's own grid and axis order."""

    labels: np.ndarray
    """(z, y, x) uint8, or uint16 from 255 labels on."""
    probabilities: np.ndarray | None
    """(heads, z, y, x) float32, if they were asked for."""


def export(
    logits: Tensor,
    properties: dict[str, Any],
    plan: Plan,
    configuration: Configuration,
    label_scheme: LabelScheme,
    with_probabilities: bool = False,
) -> Exported:
    """Bring logits (heads, z, y, x) of a preprocessed volume back to where the image was.

    `properties` are those of its PreprocessedCase: the crop, the shapes and the spacing before it.
    """
    cropped_shape = tuple(properties["shape_after_cropping_and_before_resampling"])
    grid = _grid(logits, cropped_shape, properties, plan, configuration)
    inside = tuple(slice(low, high) for low, high in properties["bbox_used_for_cropping"])
    full_shape = tuple(properties["shape_before_cropping"])
    values = np.zeros(full_shape, dtype=np.uint8 if len(label_scheme.foreground_labels) < 255 else np.uint16)
    probabilities = None
    if with_probabilities:
        probabilities = np.zeros((logits.shape[0], *full_shape), dtype=np.float32)
        if not label_scheme.has_regions:
            probabilities[0] = 1  # background outside the crop
    for slices, slab in resampled_slabs(logits, grid):
        target = (_shift(slices, inside[0].start), *inside[1:])
        values[target] = logits_to_segmentation(slab, label_scheme).cpu().numpy()
        if probabilities is not None:
            probable = slab.sigmoid() if label_scheme.has_regions else slab.softmax(0)
            probabilities[(slice(None), *target)] = probable.cpu().numpy()
    back = plan.transpose_backward
    if probabilities is not None:
        probabilities = np.ascontiguousarray(probabilities.transpose(0, *(axis + 1 for axis in back)))
    return Exported(np.ascontiguousarray(values.transpose(back)), probabilities)


def _grid(
    logits: Tensor, new_shape: Sequence[int], properties: dict[str, Any], plan: Plan, configuration: Configuration
) -> list[AxisInterpolation]:
    original = [properties["spacing"][axis] for axis in plan.transpose_forward]
    spacing = list(configuration.spacing)
    if len(spacing) == 2:
        spacing = [original[0], *spacing]
    resampler = configuration.resampling.probabilities
    return grid_interpolation(tuple(logits.shape[1:]), new_shape, spacing, original, resampler)


def _shift(part: slice, offset: int) -> slice:
    return slice(part.start + offset, part.stop + offset)
