"""Which device computes, and how the process is set up for it."""

from __future__ import annotations

import ctypes
import sys

import torch

from ..errors import UserInputError

DEVICES = ("auto", "cpu", "cuda", "mps")

# <malloc.h> of glibc
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


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


def keep_freed_memory() -> None:
    """Ask glibc to keep what tensors free instead of returning it to the system at once.

    On the CPU every large tensor of every step otherwise costs its page faults again, about a third of the time of
    a training step. Only for processes of our own; elsewhere than on glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
