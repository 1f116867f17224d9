"""Which of the processes of one training this is. Known without torch, so that who reports is decided at the start."""

from __future__ import annotations

import os
from dataclasses import dataclass


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


def rank_from_environment() -> Rank:
    """What torchrun says of this process; without torchrun a lone one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Rank()
    return Rank(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
