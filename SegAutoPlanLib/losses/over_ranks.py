"""How a loss sees the whole batch when several processes share it: sums and gathers that carry gradients.

The contract: on every process a loss returns the value of the *global* batch, and what it knows of the other processes
came through `sum` or `gather`, whose gradients are summed over the processes. Averaging the parameters' gradients, as
`DistributedDataParallel` does, then gives exactly the gradient that one process with the whole batch would have. So a
mean is never one of the processes' means: its numerator and its count are summed, each on its own.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class OverRanks(Protocol):
    """What the processes of a training can make of the tensors that each of them has. A lone process has None."""

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes; the gradients are summed in the same way."""
        ...

    def gather(self, values: Tensor) -> Tensor:
        """All processes' values one after the other along axis 0, where their lengths may differ."""
        ...


def mean_of(total: Tensor, count: Tensor | float, over_ranks: OverRanks | None) -> Tensor:
    """total / count over all processes; 0, with a gradient of 0, where there is nothing to count.

    Args:
        total: the scalar sum of what this process counts.
        count: how much that is.
    """
    count = torch.as_tensor(count, dtype=total.dtype, device=total.device)
    if over_ranks is not None:
        total, count = over_ranks.sum(torch.stack((total, count)))
    return total / count.clamp_min(1)
