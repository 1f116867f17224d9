"""What this machine has: cores, their pace, its memory and how much of it is free, without psutil."""

from __future__ import annotations

import ctypes
import functools
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def core_count() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def multiply_adds_per_second() -> float:
    """How fast the cores multiply matrices (float32), measured in a few hundredths of a second."""
    matrix = np.ones((768, 768), dtype=np.float32)
    fastest = math.inf
    for _ in range(4):
        started = time.perf_counter()
        matrix @ matrix
        fastest = min(fastest, time.perf_counter() - started)
    return len(matrix) ** 3 / fastest


def available_memory() -> int | None:
    """Bytes that can be had without swapping; None if the system does not tell."""
    if sys.platform == "win32":
        return _windows("available")
    if sys.platform == "darwin":
        return _macos()
    return _linux()


@functools.cache
def total_memory() -> int | None:
    """Bytes of memory that a process can have at all, swap included; None if the system does not tell."""
    if sys.platform == "win32":
        return _windows("total_page")
    if sys.platform == "darwin":
        # macOS makes swap files as they are needed: as much again is what a computer can still work with.
        return _least(_address_space(), 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    memory = _least(_meminfo("MemTotal"), _number("/sys/fs/cgroup/memory.max"))
    swap = _least(_meminfo("SwapTotal"), _number("/sys/fs/cgroup/memory.swap.max")) or 0
    return _least(_address_space(), memory and memory + swap)


def _address_space() -> int | None:
    """What this process may address (`ulimit -v`); None without a limit."""
    import resource  # POSIX only

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _least(*sizes: int | None) -> int | None:
    known = [size for size in sizes if size is not None]
    return min(known, default=None)


def _linux() -> int | None:
    free = _meminfo("MemAvailable")
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if limit is not None and used is not None:
        # A container may be allowed less than the machine has; its file cache can be given back.
        left = max(limit - used + _cgroup_cache(), 0)
        return left if free is None else min(free, left)
    return free


def _meminfo(key: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)


def _cgroup_cache() -> int:
    try:
        lines = Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def _number(path: str) -> int | None:
    try:
        text = Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _macos() -> int | None:
    try:
        text = subprocess.run(["vm_stat"], capture_output=True, text=True, check=True, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return free_bytes_of_vm_stat(text)


def free_bytes_of_vm_stat(text: str) -> int | None:
    """Free, inactive and speculative pages of macOS's `vm_stat`, in bytes."""
    header, *lines = text.splitlines()
    page = next((int(word) for word in header.split() if word.isdigit()), 4096)
    wanted = ("Pages free", "Pages inactive", "Pages speculative")
    pages = [int(line.split(":")[1].strip(" .")) for line in lines if line.startswith(wanted)]
    return page * sum(pages) if pages else None


def _windows(what: str) -> int | None:
    class MemoryStatus(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("total", "available", "total_page", "page", "total_virtual", "virtual", "extended")
            ),
        )

    status = MemoryStatus()
    status.length = ctypes.sizeof(MemoryStatus)
    found = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(getattr(status, what)) if found else None
