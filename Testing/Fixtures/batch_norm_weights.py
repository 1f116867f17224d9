"""Weights, an image and sample positions that follow from names alone; used by the recorder and the tests."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch


def fill(state: Mapping[str, torch.Tensor]) -> None:
    """Give each tensor of a state dict, in place, the values that belong to its name."""
    for name, tensor in state.items():
        random = np.random.RandomState(zlib.crc32(name.encode()))
        if name.endswith(".num_batches_tracked"):
            tensor.fill_(3)
        elif name.endswith((".running_var", "norm.weight")):
            tensor.copy_(torch.from_numpy(random.uniform(0.5, 1.5, tuple(tensor.shape))))
        else:
            tensor.copy_(torch.from_numpy(random.normal(0, 0.2, tuple(tensor.shape))))


def image(dimensions: int) -> torch.Tensor:
    """Two samples of one channel."""
    return torch.from_numpy(np.random.RandomState(1).normal(0, 1, (2, 1, *(8,) * dimensions)).astype(np.float32))


def sampled(logits: torch.Tensor) -> list[float]:
    """Two hundred of the logits."""
    flat = logits.detach().flatten()
    return flat[np.random.RandomState(2).randint(0, len(flat), 200)].tolist()
