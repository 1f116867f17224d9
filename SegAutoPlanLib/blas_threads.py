"""Keeping numpy's matrix products to the thread that asks for them."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

NAMES = (("scipy_openblas_", "64_"), ("openblas_", "64_"), ("scipy_openblas_", ""), ("openblas_", ""))
"""What goes before and after `set_num_threads` in the OpenBLAS of numpy's wheels, newest first."""


_lock = threading.Lock()
_users, _threads_before = 0, 0


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within, OpenBLAS starts no threads: for many small products its waiting threads cost more than they give, and
    several cases at once use the cores better. Without an OpenBLAS of numpy's own this changes nothing.

    Without it, preprocessing four CTs of 512 x 512 x 400 voxels with two workers on two cores takes 2 to 3 times as
    long. Threads may be within at the same time (threadpoolctl's limit would end with any of them), and who multiplies
    elsewhere in the process keeps all cores (which `OPENBLAS_NUM_THREADS` would take)."""
    global _users, _threads_before
    functions = _openblas()
    if functions is None:
        yield
        return
    get, set_ = functions
    with _lock:
        if _users == 0:
            _threads_before = get()
            set_(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                set_(_threads_before)


@lru_cache(maxsize=1)
def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    package = Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs"):
        for file in sorted(folder.glob("*openblas*")):
            # It is loaded already: this finds it, and loads nothing.
            library = ctypes.CDLL(str(file))
            for before, after in NAMES:
                if hasattr(library, f"{before}set_num_threads{after}"):
                    return tuple(getattr(library, f"{before}{verb}_num_threads{after}") for verb in ("get", "set"))
    return None
