"""One configuration: the largest patch, and then the largest batch, that the GPU memory allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .memory import feature_map_voxels
from .plan import Architecture
from .presets import BASE_FEATURES, MINIMUM_BATCH_SIZE, Planner, maximum_features, reference_batch_size
from .topology import Topology, plan_topology


class NothingFitsError(ValueError):
    """An axis of the images, or of the patch that would fit, has no voxel left."""


@dataclass(frozen=True)
class Sizing:
    """What the memory allows. Axes in transposed order."""

    patch_size: tuple[int, ...]
    batch_size: int
    architecture: Architecture


@dataclass(frozen=True)
class Budget:
    """What a configuration may use: the planner's numbers, the memory and the number of label entries."""

    planner: Planner
    gpu_memory_gb: float
    class_count: int
    careful: bool = False
    """Whether to avoid what nnU-Net's arithmetic crashes on: an axis of the patch or image without a voxel."""


def size_configuration(
    budget: Budget, spacing: Sequence[float], median_shape: Sequence[float], dataset_voxels: float
) -> Sizing:
    """Patch, batch and network for images of `median_shape` voxels of `spacing` mm.

    The patch starts as a cube (square) in millimetres, at most a whole median image, and
    loses voxels along the axis that it covers best until it fits; `dataset_voxels` then bounds the batch.

    Raises:
        NothingFitsError: no patch remains.
    """
    dimensions, planner = len(spacing), budget.planner
    reference = planner.reference(dimensions, budget.gpu_memory_gb)
    reference_batch = reference_batch_size(dimensions)
    topology = plan_topology(spacing, _initial_patch(spacing, median_shape))
    while True:
        architecture = _architecture(planner, topology)
        needed = feature_map_voxels(architecture, topology.patch_size, budget.class_count)
        if needed == 0:
            raise NothingFitsError(f"no voxel is left of a patch of {topology.patch_size}")
        if (needed / reference_batch * 2 if planner.shrinks_to_batch_of_two else needed) <= reference:
            break
        topology = _shrunk(spacing, median_shape, topology, int(budget.careful))
    batch = round((reference / needed) * reference_batch)
    at_most = round(dataset_voxels * planner.batch_covers_at_most / math.prod(topology.patch_size))
    return Sizing(topology.patch_size, max(min(batch, at_most), MINIMUM_BATCH_SIZE), architecture)


def _initial_patch(spacing: Sequence[float], median_shape: Sequence[float]) -> list[float]:
    """A patch of 2048² or 256³ voxels as wide as high in millimetres, but no larger than a median image."""
    dimensions = len(spacing)
    voxels = 2048**2 if dimensions == 2 else 256**3
    density = [1 / step for step in spacing]
    scale = (voxels / math.prod(density)) ** (1 / dimensions)
    return [min(round(d * scale), edge) for d, edge in zip(density, median_shape, strict=True)]


def _shrunk(
    spacing: Sequence[float], median_shape: Sequence[float], topology: Topology, smallest_edge: int
) -> Topology:
    """One step smaller along the axis of which the patch sees most (the last of equals).

    The step is the divisor of the *smaller* patch: that of the present one could skip valid sizes (256,
    224, 192).
    """
    patch = list(topology.patch_size)
    candidates = [axis for axis, edge in enumerate(patch) if edge > smallest_edge]
    if not candidates:
        raise NothingFitsError("not even a single voxel fits")
    axis = max(candidates, key=lambda candidate: (patch[candidate] / median_shape[candidate], candidate))
    trial = [edge - topology.divisor[i] if i == axis else edge for i, edge in enumerate(patch)]
    step = plan_topology(spacing, trial).divisor[axis]
    patch[axis] = max(patch[axis] - step, smallest_edge)
    return plan_topology(spacing, patch)


def _architecture(planner: Planner, topology: Topology) -> Architecture:
    stages = len(topology.strides)
    limit = maximum_features(len(topology.patch_size))
    return Architecture(
        kind=planner.network,
        features_per_stage=tuple(min(limit, BASE_FEATURES * 2**stage) for stage in range(stages)),
        kernel_sizes=topology.kernel_sizes,
        strides=topology.strides,
        blocks_per_stage=planner.blocks(stages),
        convs_per_decoder_stage=(planner.decoder_convs,) * (stages - 1),
    )
