"""An array in a blosc2 file (`.b2nd`), as nnU-Net stores its cases: looked at before anything of it is unpacked."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..files import atomic_path, read_bytes

ENDING = ".b2nd"


def blosc2_is_installed() -> bool:
    """Whether such files can be read and written."""
    return importlib.util.find_spec("blosc2") is not None


def open_blosc2(path: Path, most_bytes: int, refusal: tuple[str, str]) -> Any:
    """blosc2's array: its shape and type are known, its values still packed.

    Args:
        most_bytes: of the file.
        refusal: problem and remedy of a file that is none.

    Raises:
        FileError: the file is missing, too large, or no array of blosc2.
    """
    import blosc2

    content = read_bytes(path, most_bytes)
    with in_a_sentence(path, refusal):
        # Not blosc2.open, which may run what a file says.
        return blosc2.ndarray_from_cframe(content, copy=True)


@contextlib.contextmanager
def in_a_sentence(path: Path, refusal: tuple[str, str]) -> Iterator[None]:
    """What blosc2 says of a damaged file within the block, with problem and remedy.

    Raises:
        FileError: instead.
    """
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise FileError(path, *refusal) from error


def write_blosc2(path: Path, array: np.ndarray, notes: Mapping[str, str] | None = None, **layout: Any) -> None:
    """Write an array, atomically.

    Args:
        notes: short texts that the file shall hold beside it.
        layout: blosc2's own `chunks`, `blocks` and `cparams`.

    Raises:
        UserInputError: the disk is full; no half-written file is left.
    """
    import blosc2

    packed = blosc2.asarray(np.ascontiguousarray(array), **layout)
    for name, note in (notes or {}).items():
        packed.schunk.vlmeta[name] = note
    with atomic_path(path) as temporary:
        temporary.write_bytes(packed.to_cframe())
