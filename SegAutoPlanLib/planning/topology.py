"""How often a U-Net halves each axis, and with which kernels, so that its voxels become isotropic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SMALLEST_EDGE = 4
"""Voxels that an axis keeps at the bottleneck."""


@dataclass(frozen=True)
class Topology:
    """Stages from full resolution down; the first stride is 1 everywhere."""

    patch_size: tuple[int, ...]
    """The patch asked for, rounded up to a multiple of `divisor`."""
    strides: tuple[tuple[int, ...], ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    divisor: tuple[int, ...]


def plan_topology(spacing: Sequence[float], patch_size: Sequence[float]) -> Topology:
    """Halve, stage by stage, the axes within a factor 2 of the finest, while they keep 4 voxels.

    An axis gets kernels of 3 from the stage at which its voxel size is within a factor 2 of the finest one;
    until then it is not convolved along. The bottleneck always convolves along all axes. (nnU-Net's rule;
    `patch_size` may end in .5, being a median.)
    """
    axes = range(len(spacing))
    current, size = list(spacing), list(patch_size)
    kernel = [1 for _ in axes]
    strides, kernels = [tuple(1 for _ in axes)], []
    while halved := _axes_to_halve(current, size):
        finest = min(current)
        kernel = [3 if kernel[axis] == 3 or current[axis] / finest < 2 else 1 for axis in axes]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in halved else 1 for axis in axes))
        for axis in halved:
            current[axis] *= 2
            size[axis] = math.ceil(size[axis] / 2)
    kernels.append(tuple(3 for _ in axes))
    divisor = tuple(math.prod(stride[axis] for stride in strides) for axis in axes)
    padded = tuple(math.ceil(patch_size[axis] / divisor[axis]) * divisor[axis] for axis in axes)
    return Topology(padded, tuple(strides), tuple(kernels), divisor)


def _axes_to_halve(spacing: list[float], size: list[float]) -> list[int]:
    large = [axis for axis in range(len(size)) if size[axis] >= 2 * SMALLEST_EDGE]
    if not large:
        return []
    finest = min(spacing[axis] for axis in large)
    near = [axis for axis in large if spacing[axis] / finest < 2]
    if len(near) == 1 and size[near[0]] < 3 * SMALLEST_EDGE:
        return []
    return near
