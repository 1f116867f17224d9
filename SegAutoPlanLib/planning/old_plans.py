"""Plans of nnU-Net up to 2.3, which described the network by a handful of numbers beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UserInputError
from .architecture_json import NETWORK_CLASSES, architecture_to_json
from .plan import Architecture


def modern_configuration(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration with an `architecture`; one that has it comes back as it is.

    Raises:
        UserInputError: the network is not one that this program builds.
        KeyError: the entry is incomplete.
    """
    if "architecture" in entry:
        return dict(entry)
    if "UNet_class_name" not in entry:
        raise KeyError("architecture")
    class_name = entry["UNet_class_name"]
    kind = next((kind for kind, known in NETWORK_CLASSES.items() if known == class_name), None)
    if kind is None:
        raise UserInputError(f"its network {class_name} is not among {', '.join(NETWORK_CLASSES.values())}")
    blocks = tuple(entry["n_conv_per_stage_encoder"])
    architecture = Architecture(
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
    return {**entry, "architecture": architecture_to_json(architecture)}
