"""From logits on the network's grid to a segmentation on the image's, a few slices at a time.

The label of a voxel is the argmax of linearly interpolated logits. Interpolating all classes of a slab of slices and
taking their argmax at once needs memory for a slab, where resampling whole class volumes first needs it for all of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..labels import LabelScheme
from ..planning.plan import Configuration
from ..planning.resampling import Resampler
from ..preprocessing import CaseGeometry
from ..preprocessing.grid import Neighbours, linear_neighbours, nearest_neighbours, separate_axis, spacing_to_reach

SLAB_BYTES = 128 * 2**20


def grid_interpolation(
    shape: Sequence[int],
    new_shape: Sequence[int],
    spacing: Sequence[float],
    new_spacing: Sequence[float],
    resampler: Resampler,
) -> list[Neighbours]:
    """Between which voxels of each axis the logits are interpolated, by the plan's resampler of probabilities.

    An axis is taken by nearest neighbour where `order` is 0; a much coarser one where `order_z` is (nnU-Net's separate
    z).
    """
    separate = separate_axis(spacing, new_spacing, resampler.force_separate_z)
    orders = [resampler.order_z if axis == separate else resampler.order for axis in range(len(shape))]
    return [
        (nearest_neighbours if orders[axis] == 0 else linear_neighbours)(old, new)
        for axis, (old, new) in enumerate(zip(shape, new_shape, strict=True))
    ]


def resampled_slabs(logits: Tensor, grid: Sequence[Neighbours]) -> Iterator[tuple[slice, Tensor]]:
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


def _interpolate(values: Tensor, axis: int, along: Neighbours) -> Tensor:
    if len(along.lower) == values.shape[axis] and not along.weight.any():
        return values
    device = values.device
    lower = values.index_select(axis, torch.from_numpy(along.lower).to(device))
    if not along.weight.any():
        return lower
    upper = values.index_select(axis, torch.from_numpy(along.upper).to(device))
    weight = torch.from_numpy(along.weight.astype(np.float32)).to(device)
    return torch.lerp(lower, upper, weight.view([-1 if a == axis else 1 for a in range(values.ndim)]))


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
    geometry: CaseGeometry,
    configuration: Configuration,
    label_scheme: LabelScheme,
    with_probabilities: bool = False,
) -> Exported:
    """Bring logits (heads, z, y, x) of a preprocessed volume back to where the image was, by its case's geometry."""
    spacing = spacing_to_reach(geometry.spacing, configuration.spacing)
    resampler = configuration.resampling.probabilities
    grid = grid_interpolation(logits.shape[1:], geometry.cropped_shape, spacing, geometry.spacing, resampler)
    inside = tuple(slice(lower, upper) for lower, upper in geometry.bounding_box)
    full_shape = geometry.shape_before_cropping
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
    back = geometry.file_axes
    if probabilities is not None:
        probabilities = np.ascontiguousarray(probabilities.transpose(0, *(axis + 1 for axis in back)))
    return Exported(np.ascontiguousarray(values.transpose(back)), probabilities)


def _shift(part: slice, offset: int) -> slice:
    return slice(part.start + offset, part.stop + offset)
