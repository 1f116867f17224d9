"""One process a GPU, by the environment variables that torchrun sets. A lone process needs none of it."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """This process among the processes of the training."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes (not differentiable)."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def any_rank(self, mine: bool, device: torch.device) -> bool:
        """Whether any process says yes; all get the same answer, so none waits for another for ever."""
        if self.world == 1:
            return mine
        return bool(self.sum(torch.tensor([float(mine)], device=device)).item())

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """A block that the leading process runs alone, and the others after it: they find its files."""
        if not self.is_main:
            distributed.barrier()
        yield
        if self.is_main and self.world > 1:
            distributed.barrier()


ALONE = Ranks()


def join_ranks(device: torch.device) -> Ranks:
    """Join the group that torchrun set up, if there is one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE
    ranks = Ranks(int(os.environ["RANK"]), world, int(os.environ["LOCAL_RANK"]))
    nccl = device.type == "cuda" and distributed.is_nccl_available()
    # The others wait while the leading process preprocesses a whole dataset.
    distributed.init_process_group("nccl" if nccl else "gloo", timeout=timedelta(days=1))
    return ranks


def leave_ranks(ranks: Ranks, together: bool) -> None:
    """Leave the group. `together`: all processes come here (none does after an error of one of them)."""
    if ranks.world == 1:
        return
    # The wrapped network sits in a reference cycle and must not outlive the group that it talks through.
    gc.collect()
    if together:
        distributed.barrier()
    distributed.destroy_process_group()


class SumOverRanks(torch.autograd.Function):
    """A differentiable all-reduce: the gradient of a sum that every process shares is the sum of their gradients."""

    @staticmethod
    def forward(_context, values: Tensor) -> Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(_context, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient
