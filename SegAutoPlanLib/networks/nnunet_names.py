"""nnU-Net's state dicts name most tensors several times; ours name each once.

nnU-Net registers every block's layers a second time (`all_modules.0` is the convolution, `all_modules.1` the
normalisation) and its decoder owns the encoder (`decoder.encoder.…`). It loads strictly, so a checkpoint for it
needs every alias. Aliases share storage, so the file does not grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Tensor = TypeVar("Tensor")

_LAYER_ALIASES = {"conv": "all_modules.0", "norm": "all_modules.1"}
_PREFIXES = ("module.", "_orig_mod.")


def with_aliases(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict as nnU-Net writes it."""
    full: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for alias in _block_names(name):
            full[alias] = tensor
            if alias.startswith("encoder."):
                full["decoder." + alias] = tensor
    return full


def without_aliases(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor once, by our names; wrappers' prefixes (`module.`, `_orig_mod.`) are dropped too."""
    unique: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        if ".all_modules." not in name and not name.startswith("decoder.encoder."):
            unique[name] = tensor
    return unique


def _block_names(name: str) -> list[str]:
    block, _, rest = name.rpartition(".")
    parent, _, layer = block.rpartition(".")
    if layer in _LAYER_ALIASES:
        return [name, f"{parent}.{_LAYER_ALIASES[layer]}.{rest}"]
    return [name]
