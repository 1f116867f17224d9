"""What a network or a volume needs of memory, known before either is made, and refused if no computer like this has it.

The numbers are lower bounds, from arithmetic alone: whatever is refused cannot be done here, and what is not refused
may still be too much. On a graphics card only the weights count, since its own error tells of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import UserInputError
from ..machine import total_memory
from .memory import feature_map_voxels
from .plan import Architecture
from .presets import PLANNERS

VALUE_BYTES = 4
"""float32."""
SMALLER_VOLUME = "correct the voxel size, in the image's header or in the plan"
BILLION_GIGABYTES = 10**9 << 30
KEPT_BYTES = 8
"""Of each value that a convolution makes: it is kept until the way back, and so is what normalising made of it."""
NNUNET_MOMENTS = 1
"""Of stochastic gradient descent: what it remembers per weight."""
SHARE_OF_PLANNER = 2
"""Of a planner's GPU memory, which is for half precision: what its plans need at most in single precision."""


def parameter_count(architecture: Architecture, in_channels: int, heads: int) -> int:
    """The numbers that the network learns: of convolutions, normalisations and segmentation heads."""
    return _encoder_parameters(architecture, in_channels) + _decoder_parameters(architecture, heads)


def training_bytes(
    architecture: Architecture,
    in_channels: int,
    heads: int,
    patch_size: Sequence[int],
    batch_size: int,
    moments: int = NNUNET_MOMENTS,
) -> int:
    """At least so many bytes does a step in single precision hold: weights, their copies, and all feature maps.

    Args:
        moments: what the optimiser remembers per weight, beside which there is its gradient.
    """
    weights = (2 + moments) * parameter_count(architecture, in_channels, heads)
    image = in_channels * math.prod(patch_size)
    kept = KEPT_BYTES * feature_map_voxels(architecture, patch_size, heads)
    return VALUE_BYTES * weights + batch_size * (VALUE_BYTES * image + kept)


def training_remedy(memory: int, needed: int, architecture: Architecture, fixed: int, batch_size: int) -> str:
    """How much memory a training step lacks, and which batch or planner fits.

    Args:
        memory: bytes that there are.
        needed: bytes that the batch needs.
        fixed: bytes of those that do not depend on it.
    """
    per_sample = max(1, (needed - fixed) // batch_size)
    largest = min(batch_size - 1, (memory - fixed) // per_sample)
    batch = f"a batch_size of at most {largest} fits (a recipe of your own may say it)" if largest > 0 else ""
    missing = f"{_gigabytes(max(0, needed - memory))} are missing: " if needed > memory else ""
    gigabytes = memory >> 30
    fitting = [name for name, row in PLANNERS.items() if SHARE_OF_PLANNER * row.reference_gb <= gigabytes]
    kind = [name for name in fitting if PLANNERS[name].network == architecture.kind] or fitting
    planner = f"--planner {kind[-1]}" if kind else f"--gpu-memory-gb {max(1, gigabytes // SHARE_OF_PLANNER)}"
    plan = f"plan with {planner}" if batch else f"not even a batch_size of 1 fits; plan with {planner}"
    return missing + " or ".join(filter(None, (batch, plan)))


def inference_bytes(architecture: Architecture, in_channels: int, heads: int, patch_size: Sequence[int]) -> int:
    """At least so many bytes does a pass over one tile hold: the weights, and what the decoder waits for."""
    size, skips = list(patch_size), 0
    for features, stride in zip(architecture.features_per_stage, architecture.strides, strict=True):
        size = [edge // step for edge, step in zip(size, stride, strict=True)]
        skips += features * math.prod(size)
    tile = (in_channels + heads) * math.prod(patch_size)
    return VALUE_BYTES * (parameter_count(architecture, in_channels, heads) + tile + skips)


def require_network_fits(
    architecture: Architecture,
    in_channels: int,
    heads: int,
    patch_size: Sequence[int],
    batch_size: int,
    source: str,
    training: bool,
    device: str = "cpu",
    moments: int = NNUNET_MOMENTS,
) -> None:
    """Refuse a network that cannot be computed, or not in the memory of any computer like this.

    Args:
        source: the plan and configuration, to begin the sentence.
        training: a whole training step, else one pass over a tile.
        device: where it shall run; other memory than the computer's is left to the device.
        moments: what the optimiser of a training remembers per weight.

    Raises:
        UserInputError: it has a single resolution, nothing but one voxel at its lowest one, or is too large.
    """
    _require_computable(architecture, patch_size, source)
    remedy = "choose another configuration, or plan with less --gpu-memory-gb"
    if device != "cpu":
        needed = VALUE_BYTES * parameter_count(architecture, in_channels, heads)
        what = "the weights of the network"
    elif training:
        needed = training_bytes(architecture, in_channels, heads, patch_size, batch_size, moments)
        what = f"a training step of the network with a batch_size of {batch_size}"
        fixed = training_bytes(architecture, in_channels, heads, patch_size, 0, moments)
        remedy = training_remedy(total_memory() or needed, needed, architecture, fixed, batch_size)
    else:
        needed = inference_bytes(architecture, in_channels, heads, patch_size)
        what = "one pass of the network"
    require_memory(needed, source, what, remedy)


def require_volume_fits(
    shape: Sequence[int], values_per_voxel: int, bytes_per_value: int, what: str, source: str
) -> None:
    """Refuse a volume that no computer like this can hold.

    Args:
        shape: voxels of each axis.
        values_per_voxel: channels, or classes.
        what: to go on with, e.g. `the resampled image`.
        source: the case, plan or file, to begin the sentence.

    Raises:
        UserInputError: it needs more memory than this computer has, swap included.
    """
    needed = math.prod(shape) * values_per_voxel * bytes_per_value
    voxels = " × ".join(f"{edge:,}" for edge in shape)
    require_memory(needed, source, f"{what} of {voxels} voxels", SMALLER_VOLUME)


def require_memory(needed: int, source: str, what: str, remedy: str = SMALLER_VOLUME) -> None:
    """Refuse what no computer like this can hold.

    Args:
        needed: bytes.

    Raises:
        UserInputError: it is more than all the memory, swap included.
    """
    there = total_memory()
    if there is not None and needed > there:
        raise UserInputError(
            f"{source}: {what} needs {_gigabytes(needed)}, but this computer has {there >> 30} GB; {remedy}."
        )


def _gigabytes(size: int) -> str:
    return f"about {size >> 30:,} GB" if size < BILLION_GIGABYTES else "more than a billion GB"


def _require_computable(architecture: Architecture, patch_size: Sequence[int], source: str) -> None:
    if len(architecture.strides) < 2:
        raise UserInputError(
            f"{source}: the network has a single resolution, because the images are so small, and cannot be computed; "
            "use larger images, or plan with a finer target spacing."
        )
    lowest = [edge // math.prod(steps) for edge, *steps in zip(patch_size, *architecture.strides, strict=True)]
    if math.prod(lowest) < 2:
        raise UserInputError(
            f"{source}: a patch of {' × '.join(map(str, patch_size))} voxels leaves the network a single voxel at its "
            "lowest resolution, which cannot be normalised; make the patch larger."
        )


def _encoder_parameters(architecture: Architecture, in_channels: int) -> int:
    total, incoming = 0, in_channels
    if architecture.kind == "residual":
        incoming = architecture.features_per_stage[0]
        total += _convolution(in_channels, incoming, math.prod(architecture.kernel_sizes[0]))
    for features, kernel, blocks in zip(
        architecture.features_per_stage, architecture.kernel_sizes, architecture.blocks_per_stage, strict=True
    ):
        taps = math.prod(kernel)
        convolutions = 2 * blocks if architecture.kind == "residual" else blocks
        total += _convolution(incoming, features, taps) + (convolutions - 1) * _convolution(features, features, taps)
        if architecture.kind == "residual" and incoming != features:
            # The shortcut's projection has no bias, but its normalisation has two numbers per feature.
            total += incoming * features + 2 * features
        incoming = features
    return total


def _decoder_parameters(architecture: Architecture, heads: int) -> int:
    features, total = architecture.features_per_stage, 0
    for depth, convolutions in zip(range(len(features) - 1, 0, -1), architecture.convs_per_decoder_stage, strict=True):
        below, here = features[depth], features[depth - 1]
        taps = math.prod(architecture.kernel_sizes[depth - 1])
        total += below * here * math.prod(architecture.strides[depth]) + here
        total += _convolution(2 * here, here, taps) + (convolutions - 1) * _convolution(here, here, taps)
        total += here * heads + heads
    return total


def _convolution(incoming: int, features: int, taps: int) -> int:
    """Weights and biases, and the two numbers per feature of the normalisation after it."""
    return incoming * features * taps + 3 * features
