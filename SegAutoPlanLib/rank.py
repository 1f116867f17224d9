"""Which of the processes of one training this is. Known without torch, so that who reports is decided at the start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .errors import UserInputError
from .schema import shown

Thing = TypeVar("Thing")
REMEDY = "start the program with torchrun, or remove WORLD_SIZE from the environment"


@dataclass(frozen=True)
class Rank:
    """One process among the `world` processes of a training."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    """Its number on this computer, which is also its GPU's."""

    @property
    def is_main(self) -> bool:
        """Whether this process reports and writes; the others only compute."""
        return self.rank == 0

    def share_of(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """What this process does of a work that all share out."""
        return things[self.rank :: self.world]


def rank_from_environment() -> Rank:
    """What torchrun says of this process; without torchrun a lone one.

    Raises:
        UserInputError: the variables that torchrun sets are no ranks.
    """
    world = _number("WORLD_SIZE", 1, lowest=1)
    if world == 1:
        return Rank()
    rank = _number("RANK", -1)
    if rank >= world:
        raise UserInputError(f"RANK {rank}: must be below WORLD_SIZE, {world}; {REMEDY}.")
    return Rank(rank, world, _number("LOCAL_RANK", 0))


def _number(variable: str, default: int, lowest: int = 0) -> int:
    text = os.environ.get(variable, str(default))
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= lowest:
        return int(text)
    said = shown(text) if variable in os.environ else "nothing"
    raise UserInputError(
        f"The environment variable {variable} must be a whole number from {lowest}, not {said}; {REMEDY}."
    )
