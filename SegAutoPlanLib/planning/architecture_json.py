"""The `architecture` entry of plans.json, written and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .architecture_gate import BLOCK_KEYS, CONVOLUTIONS, NETWORK_CLASSES, network_kind
from .plan import Architecture


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """The entry as nnU-Net writes it: import paths of the classes and the arguments to build them with."""
    dimensions, kind = architecture.dimensions, architecture.kind
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{NETWORK_CLASSES[kind]}",
        "arch_kwargs": {
            "n_stages": len(architecture.strides),
            "features_per_stage": list(architecture.features_per_stage),
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [list(kernel) for kernel in architecture.kernel_sizes],
            "strides": [list(stride) for stride in architecture.strides],
            BLOCK_KEYS[kind]: list(architecture.blocks_per_stage),
            "n_conv_per_stage_decoder": list(architecture.convs_per_decoder_stage),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def architecture_from_json(entry: Mapping[str, Any]) -> Architecture:
    """The network that an entry describes which passed `architecture_gate`; no class named in it is imported."""
    kind = network_kind(entry["network_class_name"])
    options = entry["arch_kwargs"]
    dimensions, stages = CONVOLUTIONS[options["conv_op"]], options["n_stages"]
    return Architecture(
        kind=kind,
        features_per_stage=_per_stage(options["features_per_stage"], stages),
        kernel_sizes=_per_stage_and_axis(options["kernel_sizes"], stages, dimensions),
        strides=_per_stage_and_axis(options["strides"], stages, dimensions),
        blocks_per_stage=_per_stage(options[BLOCK_KEYS[kind]], stages),
        convs_per_decoder_stage=_per_stage(options["n_conv_per_stage_decoder"], stages - 1),
    )


def _per_stage(value: Any, stages: int) -> tuple[int, ...]:
    return (value,) * stages if isinstance(value, int) else tuple(value)


def _per_stage_and_axis(value: Any, stages: int, dimensions: int) -> tuple[tuple[int, ...], ...]:
    return tuple((edge,) * dimensions if isinstance(edge, int) else tuple(edge) for edge in _per_stage(value, stages))
