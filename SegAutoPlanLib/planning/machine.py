"""How long training takes: multiply-adds of a network, times the pace of a machine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .plan import Architecture, Configuration

EPOCHS, STEPS, VALIDATION_STEPS = 1000, 250, 50
"""nnU-Net's schedule."""
CONVOLUTION_SHARE = 0.85
"""Of the pace at matrix products, what a network's forward pass reaches on a processor: on two cores that multiply
matrices at 95e9 per second it took 2.6 µs per voxel. A guide, as all times of a plan."""
TRAINING_STEP = 3
"""Forward passes that a step with its gradients costs."""
REFERENCE_MULTIPLY_ADDS = 223_729
"""Per voxel of the plain 3-D U-Net of 32 to 320 features in six stages, by which paces are measured."""


@dataclass(frozen=True)
class Machine:
    """A computer by its pace: seconds per voxel forward through the plain 3-D U-Net of 32 features."""

    name: str
    seconds_per_voxel: float

    @classmethod
    def of_processor(cls, name: str, multiply_adds_per_second: float) -> Machine:
        """A processor, from its pace at multiplying matrices."""
        return cls(name, REFERENCE_MULTIPLY_ADDS / (CONVOLUTION_SHARE * multiply_adds_per_second))


TWO_CORES = Machine("two CPU cores", 2.5e-6)
DATA_CENTRE_CARD = Machine("an A100 graphics card", 1.2e-8)
"""From nnU-Net v1's published epoch times (documentation/expected_epoch_times.md, Heart 3d_fullres: 47 s)."""


def training_seconds(configuration: Configuration, channels: int, machine: Machine, epochs: int = EPOCHS) -> float:
    """About how long nnU-Net's schedule takes; a guide, within a factor of two."""
    voxels = configuration.batch_size * math.prod(configuration.patch_size)
    passes = epochs * (STEPS * TRAINING_STEP + VALIDATION_STEPS)
    relative = multiply_adds_per_voxel(configuration.architecture, channels) / REFERENCE_MULTIPLY_ADDS
    return passes * voxels * relative * machine.seconds_per_voxel


def multiply_adds_per_voxel(architecture: Architecture, channels: int) -> float:
    """Multiply-adds of the convolutions, forward, per voxel of the patch (transposed ones and heads left out)."""
    features, total, density = architecture.features_per_stage, 0.0, 1.0
    for stage, stride in enumerate(architecture.strides):
        density /= math.prod(stride)
        taps = math.prod(architecture.kernel_sizes[stage])
        incoming = features[stage - 1] if stage else channels
        convolutions = architecture.blocks_per_stage[stage] * (2 if architecture.kind == "residual" else 1)
        encoder = incoming * features[stage] + (convolutions - 1) * features[stage] ** 2
        decoder = 0
        if stage < len(features) - 1:
            # The decoder's stages are counted from the bottom; its first convolution sees the skip as well.
            repeats = architecture.convs_per_decoder_stage[len(features) - 2 - stage]
            decoder = (repeats + 1) * features[stage] ** 2
        total += density * taps * (encoder + decoder)
    return total
