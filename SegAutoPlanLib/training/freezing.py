"""Parts of a network that training leaves as they are: one row per choice. No torch needed.

A frozen parameter has no gradient, so that the optimiser passes it over: it neither moves nor decays, and the numbers
by which the optimiser's state knows the others stay the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import UserInputError

if TYPE_CHECKING:
    from torch import nn

    from ..networks import UNet

FROZEN: dict[str, Callable[[UNet], list[nn.Module]]] = {
    "none": lambda network: [],
    "encoder": lambda network: [network.encoder],
    "all_but_heads": lambda network: [network.encoder, network.decoder.stages, network.decoder.transpconvs],
}
"""By what a recipe calls it: the parts of the network that stay."""


def freeze(network: UNet, choice: str) -> None:
    """Give the parts that stay no gradients."""
    for part in FROZEN[choice](network):
        part.requires_grad_(False)


def require_weights_to_keep(choice: str) -> None:
    """Refuse to freeze what would stay as it was drawn at random.

    Raises:
        UserInputError: the choice freezes something; call this where there are no trained weights to start from.
    """
    if choice != "none":
        raise UserInputError(
            f"--freeze {choice}: there are no trained weights that could stay as they are; "
            "give them with --pretrained, or take --freeze none."
        )


def keep_frozen_statistics(network: UNet, choice: str) -> None:
    """After `network.train()`: normalisations of the parts that stay go on with the statistics that they have."""
    for part in FROZEN[choice](network):
        part.eval()
