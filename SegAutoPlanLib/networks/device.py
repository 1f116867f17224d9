"""Which device computes."""

from __future__ import annotations

import torch

from ..errors import UserInputError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """The device that is meant; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UserInputError: the device does not exist here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserInputError("--device cuda: torch finds no CUDA device here; use --device auto or cpu.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserInputError("--device mps: torch finds no Apple GPU here; use --device auto or cpu.")
    if name not in DEVICES:
        raise UserInputError(f"--device {name}: must be one of {', '.join(DEVICES)}.")
    return torch.device(name)
