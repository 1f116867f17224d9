"""State dicts: nnU-Net's names of the parameters, and the way into a network.

nnU-Net's state dicts name most tensors several times; ours name each once. It registers every block's layers a second
time (`all_modules.0` is the convolution, `all_modules.1` the normalisation) and its decoder owns the encoder
(`decoder.encoder.…`). It loads strictly, so a checkpoint for it needs every alias. Aliases share storage, so the file
does not grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from ..errors import UserInputError
from .checkpoint import read_checkpoint

Value = TypeVar("Value")

LAYER_ALIASES = {"conv": "all_modules.0", "norm": "all_modules.1"}
WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""
HEADS = ".seg_layers."
"""In the names of the segmentation heads, the only layers whose size depends on the labels."""


def with_aliases(state: Mapping[str, Value]) -> dict[str, Value]:
    """The state dict as nnU-Net writes it."""
    full: dict[str, Value] = {}
    for name, tensor in state.items():
        for alias in _block_names(name):
            full[alias] = tensor
            if alias.startswith("encoder."):
                full["decoder." + alias] = tensor
    return full


def without_aliases(state: Mapping[str, Value]) -> dict[str, Value]:
    """Each tensor once, by our names; wrappers' prefixes are dropped too."""
    unique: dict[str, Value] = {}
    for name, tensor in state.items():
        for prefix in WRAPPER_PREFIXES:
            name = name.removeprefix(prefix)
        if ".all_modules." not in name and not name.startswith("decoder.encoder."):
            unique[name] = tensor
    return unique


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Load a state dict with or without nnU-Net's aliases.

    Args:
        source: the file it came from, for the sentence.

    Raises:
        UserInputError: it does not fit this network.
    """
    weights = without_aliases(weights)
    expected = network.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    surplus = sorted(weights.keys() - expected.keys())
    misfits = [name for name in expected.keys() & weights.keys() if expected[name].shape != weights[name].shape]
    wrong = missing or surplus or misfits
    if wrong:
        raise UserInputError(
            f"{source}: does not fit the network of its plan (first difference: {wrong[0]}); "
            "the checkpoint belongs to another plan, configuration or network."
        )
    network.load_state_dict(weights)


def load_pretrained(network: nn.Module, path: Path) -> None:
    """Load the weights of a checkpoint, but for those of the segmentation heads.

    Raises:
        UserInputError: another network, or a file that cannot be read.
    """
    weights = without_aliases(read_checkpoint(path)["network_weights"])
    heads = {name: tensor for name, tensor in network.state_dict().items() if HEADS in name}
    body = {name: tensor for name, tensor in weights.items() if HEADS not in name}
    load_weights(network, {**body, **heads}, path)


def _block_names(name: str) -> list[str]:
    block, _, rest = name.rpartition(".")
    parent, _, layer = block.rpartition(".")
    if layer in LAYER_ALIASES:
        return [name, f"{parent}.{LAYER_ALIASES[layer]}.{rest}"]
    return [name]
