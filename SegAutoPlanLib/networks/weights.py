"""State dicts: nnU-Net's names of the parameters, and the way into a network.

nnU-Net's state dicts name most tensors several times; ours name each once. It registers every block's layers a second
time (`all_modules.0` is the convolution, `all_modules.1` the normalisation) and its decoder owns the encoder
(`decoder.encoder.…`). It loads strictly, so a checkpoint for it needs every alias. Aliases share storage, so the file
does not grow.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..errors import FileError
from ..planning.plan import Architecture
from ..schema import shown
from .unet import build_network

Value = TypeVar("Value")


class Shaped(Protocol):
    """A tensor, or a stored one."""

    shape: Sequence[int]


LAYER_ALIASES = {"conv": "all_modules.0", "norm": "all_modules.1"}
CHOOSE_ANOTHER = "the training went wrong or the file is damaged: use another checkpoint, or train it again"
WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""
NEVER_NEGATIVE = (".running_var", ".num_batches_tracked", "exp_avg_sq", "step")
"""What batch normalisation and Adam keep beside parameters: variances, second moments and counts."""
HEADS = ".seg_layers."
"""In the names of the segmentation heads, the only layers whose size depends on the labels."""


def aliases_of(name: str) -> list[str]:
    """The names that nnU-Net has for a tensor, ours first."""
    names = []
    for alias in _block_names(name):
        names.append(alias)
        if alias.startswith("encoder."):
            names.append("decoder." + alias)
    return names


def with_aliases(state: Mapping[str, Value]) -> dict[str, Value]:
    """The state dict as nnU-Net writes it."""
    return {alias: tensor for name, tensor in state.items() for alias in aliases_of(name)}


def without_aliases(state: Mapping[str, Value]) -> dict[str, Value]:
    """Each tensor once, by our names; wrappers' prefixes are dropped too."""
    unique: dict[str, Value] = {}
    for name, tensor in state.items():
        name = without_prefixes(name)
        if ".all_modules." not in name and not name.startswith("decoder.encoder."):
            unique[name] = tensor
    return unique


def without_prefixes(name: str) -> str:
    """The name of a tensor without what wrappers put before it."""
    for prefix in WRAPPER_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def require_fit(expected: Mapping[str, tuple[int, ...]], weights: Mapping[str, Shaped], source: Path) -> None:
    """Refuse weights, with or without nnU-Net's aliases, that are not those of a network.

    Args:
        expected: the shape of each tensor of the network, by our names.
        weights: tensors, or what is stored of them.
        source: the file they came from, for the sentence.

    Raises:
        FileError: the first name that is missing or too many, or whose shape differs.
    """
    known = with_aliases(expected)
    bare = [without_prefixes(name) for name in weights]
    unique = without_aliases(weights)
    missing = sorted(expected.keys() - unique.keys())
    surplus = sorted(name for name in bare if name not in known)
    repeated = sorted(name for name, count in Counter(bare).items() if count > 1)
    misfits = [name for name, tensor in weights.items() if tuple(tensor.shape) != known.get(without_prefixes(name))]
    wrong = missing or surplus or repeated or misfits
    if wrong:
        raise FileError(
            source,
            f"does not fit the network of its plan (first difference: {shown(wrong[0])})",
            "the checkpoint belongs to another plan, configuration or network",
        )


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Load a state dict with or without nnU-Net's aliases.

    Args:
        source: the file it came from, for the sentence.

    Raises:
        UserInputError: it does not fit this network, or holds numbers that are not finite.
    """
    require_fit(shapes_of(network), weights, source)
    weights = own_weights(weights, source)
    require_finite_tensors(weights, source)
    network.load_state_dict(weights)


def own_weights(weights: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Each tensor once, by our names, where all its names stand for the same values.

    Raises:
        FileError: two names of a tensor stand for different values, of which nnU-Net would take the last.
    """
    bare = {without_prefixes(name): tensor for name, tensor in weights.items()}
    unique = without_aliases(weights)
    for name, tensor in unique.items():
        for alias in aliases_of(name):
            if alias in bare and not _is_same(tensor, bare[alias]):
                raise FileError(source, f"holds other values for {name} than for {alias}", CHOOSE_ANOTHER)
    return unique


def _is_same(one: Tensor, other: Tensor) -> bool:
    place, other_place = ((t.data_ptr(), t.shape, t.stride()) for t in (one, other))
    return place == other_place or torch.equal(one, other)


def require_finite_tensors(tensors: Mapping[str, Tensor | None], source: Path) -> None:
    """Refuse tensors that hold NaN or infinity, in the network's float32 too, which a float64 may exceed.

    Raises:
        FileError: the first that does; `source` is the file.
    """
    for name, tensor in tensors.items():
        if tensor is not None and tensor.numel() and not all(map(torch.isfinite, tensor.float().aminmax())):
            raise FileError(
                source,
                f"holds values that are not finite numbers ({name})",
                CHOOSE_ANOTHER,
            )
        if tensor is not None and name.endswith(NEVER_NEGATIVE) and bool((tensor < 0).any()):
            raise FileError(source, f"holds numbers below 0 where none can be ({name})", CHOOSE_ANOTHER)


@functools.lru_cache(maxsize=4)
def planned_shapes(architecture: Architecture, channels: int, heads: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the network that a configuration describes, by our names; none is allocated."""
    with torch.device("meta"):
        return shapes_of(build_network(architecture, channels, heads))


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor that a network is loaded from, by our names."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _block_names(name: str) -> list[str]:
    block, _, rest = name.rpartition(".")
    parent, _, layer = block.rpartition(".")
    if layer in LAYER_ALIASES:
        return [name, f"{parent}.{LAYER_ALIASES[layer]}.{rest}"]
    return [name]
