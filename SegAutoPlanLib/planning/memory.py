"""How much GPU memory a network needs: the voxels of all feature maps that training has to keep."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .plan import Architecture, Configuration
from .presets import planner_or_stand_in, reference_batch_size


def feature_map_voxels(architecture: Architecture, patch_size: Sequence[int], class_count: int) -> int:
    """Voxels of all convolution outputs for one sample (nnU-Net's measure of GPU memory).

    `class_count` is the number of entries of dataset.json's `labels`, background, ignore and regions
    included.
    """
    sizes = _stage_sizes(architecture.strides, patch_size)
    features = architecture.features_per_stage
    stages = range(len(sizes))
    encoder = sum(features[stage] * sizes[stage] * _encoder_maps(architecture, stage) for stage in stages)
    stem = features[0] * sizes[0] if architecture.kind == "residual" else 0
    decoder = sum(
        features[stage] * sizes[stage] * (convs + 1)
        for stage, convs in zip(reversed(stages[:-1]), architecture.convs_per_decoder_stage, strict=True)
    )
    head = class_count * sizes[0] if len(sizes) > 1 else 0
    return stem + encoder + decoder + head


def _stage_sizes(strides: Sequence[Sequence[int]], patch_size: Sequence[int]) -> list[int]:
    size, sizes = list(patch_size), []
    for stride in strides:
        size = [edge // step for edge, step in zip(size, stride, strict=True)]
        sizes.append(math.prod(size))
    return sizes


def _encoder_maps(architecture: Architecture, stage: int) -> int:
    """Outputs of a stage's full size: one per convolution; two per residual block, and one for its projection."""
    blocks = architecture.blocks_per_stage[stage]
    if architecture.kind == "plain":
        return blocks
    features = architecture.features_per_stage
    projected = stage > 0 and (
        features[stage] != features[stage - 1] or any(step != 1 for step in architecture.strides[stage])
    )
    return 2 * blocks + int(projected)


def training_memory_gb(configuration: Configuration, planner: str, class_count: int) -> float:
    """About how much GPU memory training takes: as much as the planner reserves for as many feature-map voxels.

    `planner` is nnU-Net's name of it; for one that is not ours the rates of a like network stand in.
    """
    dimensions = configuration.architecture.dimensions
    preset = planner_or_stand_in(planner, configuration.architecture.kind)
    voxels = feature_map_voxels(configuration.architecture, configuration.patch_size, class_count)
    reference = preset.reference(dimensions, preset.reference_gb) * reference_batch_size(dimensions)
    return preset.reference_gb * configuration.batch_size * voxels / reference
