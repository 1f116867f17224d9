"""What a child gives up: root's rights over all files, and a life beyond its parent's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

VERSION_3 = 0x20080522
OVERRIDE, READ_SEARCH = 1, 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, of capabilities(7)."""


PR_SET_PDEATHSIG = 1


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def obey_permissions() -> None:
    """From now on this process may do with a file only what its permissions say.

    Whoever is not root does so anyway.

    Raises:
        OSError: this root does not have to, and it cannot be changed.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    if not sys.platform.startswith("linux"):
        raise OSError("root obeys permissions on Linux only: run the suite as another user")
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(VERSION_3, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    kept = ~((1 << OVERRIDE) | (1 << READ_SEARCH)) & 0xFFFFFFFF
    for part in ("effective", "permitted"):
        setattr(sets[0], part, getattr(sets[0], part) & kept)
    if libc.capset(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def end_with_parent() -> None:
    """Linux ends this process when its parent ends: none is left behind, stopped in the midst of a case."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
