"""Plans of nnU-Net up to 2.3, which described the network by a handful of numbers beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .architecture_gate import network_kind
from .plan import Architecture


def architecture_from_old_json(entry: Mapping[str, Any]) -> Architecture:
    """The network of an old configuration that passed `architecture_gate`."""
    kind = network_kind(entry["UNet_class_name"])
    blocks = tuple(entry["n_conv_per_stage_encoder"])
    return Architecture(
        kind=kind,
        features_per_stage=tuple(
            min(entry["UNet_base_num_features"] * 2**stage, entry["unet_max_num_features"])
            for stage in range(len(blocks))
        ),
        kernel_sizes=tuple(map(tuple, entry["conv_kernel_sizes"])),
        strides=tuple(map(tuple, entry["pool_op_kernel_sizes"])),
        blocks_per_stage=blocks,
        convs_per_decoder_stage=tuple(entry["n_conv_per_stage_decoder"]),
    )
