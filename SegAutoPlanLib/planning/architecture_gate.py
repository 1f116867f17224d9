"""What plans.json may say of a network: the rules of `architecture`, and of its form up to nnU-Net 2.3.

Networks are described by import paths and keyword arguments, of which nothing is ever imported: a path must be one of
those that mean the layer which is built here, and an argument must have the value with which it is built.

| entry of arch_kwargs | |
|---|---|
| n_stages, features_per_stage, kernel_sizes, strides | obeyed |
| n_conv_per_stage (plain), n_blocks_per_stage (residual), n_conv_per_stage_decoder | obeyed |
| conv_op, norm_op | obeyed: 2-D or 3-D, and both alike |
| norm_op_kwargs, nonlin, nonlin_kwargs, conv_bias, dropout_op | the one value that is built here, else refused |
| dropout_op_kwargs | without meaning where there is no dropout |
| deep_supervision | without meaning: training sets it and inference takes it back, as nnU-Net does |
| nonlin_first, stem_channels, bottleneck_channels, block | their default, else refused |
| anything else | refused |

Beside them `_kw_requires_import` is without meaning, since nothing is imported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..schema import Mismatch, Rule, anything, array_of, either, flag, nothing, one_of, record, shown, text, whole
from .plan import Architecture

NETWORK_CLASSES = {"plain": "PlainConvUNet", "residual": "ResidualEncoderUNet"}
BLOCK_KEYS = {"plain": "n_conv_per_stage", "residual": "n_blocks_per_stage"}
PACKAGE = "dynamic_network_architectures.architectures."

MOST_STAGES = 32
"""nnU-Net's own plans of the oddest images have 13."""
MOST_BLOCKS = 500
"""In all stages together; nnU-Net's largest have 50."""
FEATURES, BLOCKS = whole(1, 100_000), whole(1, 256)
STRIDE = whole(1, 64)
LONGEST_KERNEL = 63

CONVOLUTIONS = {
    f"{module}Conv{dimensions}d": dimensions
    for module in ("torch.nn.modules.conv.", "torch.nn.")
    for dimensions in (2, 3)
}
NORMALIZATIONS = {
    f"{module}InstanceNorm{dimensions}d": dimensions
    for module in ("torch.nn.modules.instancenorm.", "torch.nn.")
    for dimensions in (2, 3)
}
ACTIVATIONS = ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU")
NORM_OPTIONS = record({"affine": one_of(True)}, {"eps": one_of(1e-5), "track_running_stats": one_of(False)}, others=())
ACTIVATION_OPTIONS = record({}, {"negative_slope": one_of(0.01), "inplace": flag}, others=())


def odd_edge(value: Any) -> None:
    """A rule: the length of a kernel, which is padded alike on both sides."""
    whole(1, LONGEST_KERNEL)(value)
    if value % 2 == 0:
        raise Mismatch(f"must be odd, not {value}")


def network_class(value: Any) -> None:
    """A rule: the class of a network that is built here, alone or with its package."""
    text(longest=200)(value)
    package, _, name = value.rpartition(".")
    if name not in NETWORK_CLASSES.values() or (package and not f"{package}.".startswith(PACKAGE)):
        raise Mismatch(f"must be {' or '.join(NETWORK_CLASSES.values())}, not {shown(value)}")


def network_kind(class_name: str) -> str:
    """`plain` or `residual`, by the name of nnU-Net's class."""
    name = class_name.rpartition(".")[2]
    return next(kind for kind, known in NETWORK_CLASSES.items() if known == name)


def per_stage(rule: Rule, stages: int) -> Rule:
    """One value for all stages, or one for each."""
    of_each = array_of(rule, length=stages)

    def check(value: Any) -> None:
        (of_each if isinstance(value, list | tuple) else rule)(value)

    return check


def per_axis(rule: Rule, dimensions: int) -> Rule:
    """One value for all axes, or one for each."""
    return per_stage(rule, dimensions)


ENTRY = record(
    {
        "network_class_name": network_class,
        "arch_kwargs": record(
            {
                "n_stages": whole(1, MOST_STAGES),
                "conv_op": one_of(*CONVOLUTIONS),
                "norm_op": one_of(*NORMALIZATIONS),
            }
        ),
    },
    {"_kw_requires_import": array_of(text(), longest=100)},
)
"""The frame: what has to be known before the rest can be checked."""


def stages_of(kind: str, stages: int, dimensions: int) -> Rule:
    """The rule of `arch_kwargs` whole, for a network of that kind and shape."""
    return record(
        {
            "n_stages": anything,
            "conv_op": anything,
            "features_per_stage": per_stage(FEATURES, stages),
            "kernel_sizes": per_stage(per_axis(odd_edge, dimensions), stages),
            "strides": per_stage(per_axis(STRIDE, dimensions), stages),
            BLOCK_KEYS[kind]: per_stage(BLOCKS, stages),
            "n_conv_per_stage_decoder": per_stage(BLOCKS, stages - 1),
            "conv_bias": one_of(True),
            "norm_op": one_of(*(path for path, known in NORMALIZATIONS.items() if known == dimensions)),
            "norm_op_kwargs": NORM_OPTIONS,
            "nonlin": one_of(*ACTIVATIONS),
        },
        {
            "nonlin_kwargs": either(nothing, ACTIVATION_OPTIONS),
            "dropout_op": nothing,
            "dropout_op_kwargs": anything,
            "deep_supervision": flag,
            "nonlin_first": one_of(False),
            "stem_channels": nothing,
            "bottleneck_channels": nothing,
            "block": one_of("dynamic_network_architectures.building_blocks.residual.BasicBlockD"),
        },
        others=(),
    )


def architecture_entry(value: Any) -> None:
    """A rule: the `architecture` of a configuration."""
    ENTRY(value)
    options = value["arch_kwargs"]
    kind = network_kind(value["network_class_name"])
    record({"arch_kwargs": stages_of(kind, options["n_stages"], CONVOLUTIONS[options["conv_op"]])})(value)


OLD_LENGTHS = ("conv_kernel_sizes", "pool_op_kernel_sizes")
OLD_ENTRY = record(
    {
        "UNet_class_name": network_class,
        "UNet_base_num_features": FEATURES,
        "unet_max_num_features": FEATURES,
        "n_conv_per_stage_encoder": array_of(BLOCKS, shortest=1, longest=MOST_STAGES),
        "n_conv_per_stage_decoder": array_of(BLOCKS, longest=MOST_STAGES),
        "conv_kernel_sizes": array_of(array_of(odd_edge, shortest=2, longest=3), shortest=1, longest=MOST_STAGES),
        "pool_op_kernel_sizes": array_of(array_of(STRIDE, shortest=2, longest=3), shortest=1, longest=MOST_STAGES),
    }
)


def old_architecture_entry(value: Any) -> None:
    """A rule: what a configuration said of its network up to nnU-Net 2.3, beside the rest."""
    OLD_ENTRY(value)
    stages, dimensions = len(value["n_conv_per_stage_encoder"]), len(value["pool_op_kernel_sizes"][0])
    record(
        {
            "n_conv_per_stage_decoder": array_of(BLOCKS, length=stages - 1),
            **{key: array_of(array_of(anything, length=dimensions), length=stages) for key in OLD_LENGTHS},
        }
    )(value)


def require_computable(architecture: Architecture, patch_size: Sequence[int]) -> None:
    """A patch goes down through all stages and comes back with its own size, in a time that somebody can wait for.

    Raises:
        Mismatch: it does not.
    """
    convolutions = sum(architecture.blocks_per_stage) + sum(architecture.convs_per_decoder_stage)
    if convolutions > MOST_BLOCKS:
        raise Mismatch(f"must have at most {MOST_BLOCKS} blocks of convolutions, not {convolutions}", '"architecture"')
    if any(step != 1 for step in architecture.strides[0]):
        raise Mismatch("must be 1 along each axis in the first stage", '"strides"')
    divisor = [math.prod(steps) for steps in zip(*architecture.strides, strict=True)]
    if any(edge % step for edge, step in zip(patch_size, divisor, strict=True)):
        raise Mismatch(
            f"must be multiples of {' × '.join(map(str, divisor))}, which the network divides it by, "
            f"not {' × '.join(map(str, patch_size))}",
            '"patch_size"',
        )
