"""A disk that is soon full, seen by one process and its children only."""

from __future__ import annotations

import ctypes
import os
import sys

NEW_MOUNTS, PRIVATE = 0x00020000, (1 << 14) | (1 << 18)
"""Of unshare(2) and mount(2): CLONE_NEWNS; MS_REC and MS_PRIVATE."""


def small_disk_at(folder: str, kilobytes: float) -> bool:
    """Mount a file system of that size at the folder, which is made if need be; False where that is not allowed.

    Only this process and its children see it; it is gone when they are. For Linux, and for root.
    """
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) != 0 or libc.mount(b"none", b"/", None, PRIVATE, None) != 0:
        return False
    os.makedirs(folder, exist_ok=True)
    options = f"size={int(kilobytes)}k".encode()
    return libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options) == 0
