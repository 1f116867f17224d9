"""How this process's memory allocator treats what tensors free."""

from __future__ import annotations

import ctypes
import sys

# <malloc.h> of glibc
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Ask glibc to keep what tensors free instead of returning it to the system at once.

    On the CPU every large tensor of every step otherwise costs its page faults again, about a third of the time of
    a training step. It holds for the whole process and cannot be taken back, so it is for processes of our own alone: a
    process that others live in (Slicer's, a notebook's) stays as it is. Elsewhere than on glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Return to the system what is free, a graphics card's memory too: for a process that waits for more work."""
    if sys.platform.startswith("linux") and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
    # Where nothing has imported it, there is nothing of its to give back.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
