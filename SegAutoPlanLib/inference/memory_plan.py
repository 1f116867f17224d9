"""Where the sums of a sliding window are kept, decided before the first tile: device, host, or a slab at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..machine import available_memory
from ..planning.budget import VALUE_BYTES

SHARE_OF_DEVICE = 0.9
"""Of what the network leaves free on a device of its own: allocators lose some."""
SHARE_OF_HOST = 0.6
"""Of what is free: other programs live there, too, and the next image is read at the same time."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class MemoryPlan:
    """Where sums are kept."""

    place: torch.device
    axis: int | None = None
    """The volume's axis along which slabs of it are finished, one after the other; None keeps all of it."""


def sum_bytes(heads: int, shape: Sequence[int]) -> int:
    """What the sums of a volume (z, y, x) take: of each head, and of the weights."""
    return VALUE_BYTES * (heads + 1) * math.prod(shape)


def slab_bytes(heads: int, shape: Sequence[int], tile: Sequence[int]) -> int:
    """What they take at most when only a slab is kept: a tile's extent along the longest axis, and what is moved up."""
    axis = longest_axis(shape)
    return 2 * sum_bytes(heads, [tile[axis] if a == axis else size for a, size in enumerate(shape)])


def longest_axis(shape: Sequence[int]) -> int:
    """The first of the longest ones."""
    return max(range(len(shape)), key=lambda axis: shape[axis])


def plan_memory(
    heads: int,
    shape: Sequence[int],
    tile: Sequence[int],
    device: torch.device,
    free_device: int | None,
    free_host: int | None,
    whole: bool = False,
) -> MemoryPlan:
    """The place that is the fastest of those where the sums fit.

    Args:
        shape: (z, y, x) of the padded volume.
        free_device: bytes that the network leaves free on the device; None if nobody knows.
        free_host: bytes that are free in main memory; None if nobody knows.
        whole: whether all logits are wanted at the same time.
    """
    everything, slab, axis = sum_bytes(heads, shape), slab_bytes(heads, shape, tile), longest_axis(shape)
    if device.type != "cpu":
        room = math.inf if free_device is None else SHARE_OF_DEVICE * free_device
        if everything <= room:
            return MemoryPlan(device)
        if slab <= room and not whole:
            return MemoryPlan(device, axis)
    room = math.inf if free_host is None else SHARE_OF_HOST * free_host
    if whole or everything <= room or slab >= everything:
        return MemoryPlan(CPU)
    return MemoryPlan(CPU, axis)


def free_memory(device: torch.device) -> tuple[int | None, int | None]:
    """Bytes that are free on the device, and in main memory; None where nobody tells."""
    return (_free_on(device), available_memory())


def _free_on(device: torch.device) -> int | None:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch keeps for later is free, too.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps" and hasattr(torch.mps, "recommended_max_memory"):
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return None
