"""nnU-Net's own file of a previous stage's labels, `CASE.b2nd`: read and written where blosc2 is installed.

Training needs neither: what nnU-Net's first stage left is turned into our file once, and ours into its, so that its
second stage can train on them.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..files import atomic_path, read_bytes
from .previous_stage import require_on_grid

ENDING = ".b2nd"
ORIGIN = "segautoplan_origin"
"""In a file of ours; one without it is nnU-Net's."""
LARGEST = 1 << 32
"""Bytes; labels compress to a hundredth of their size."""
LABEL_TYPES = ("uint8", "uint16", "int16", "int8", "int32")
REMEDY = "delete it, so that the first stage's networks make these labels anew"


def blosc2_path(folder: Path | str, identifier: str) -> Path:
    """Where nnU-Net looks for the previous stage's labels of a case."""
    return Path(folder) / f"{identifier}{ENDING}"


def blosc2_is_installed() -> bool:
    """Whether such files can be read and written."""
    return importlib.util.find_spec("blosc2") is not None


def save_blosc2_labels(path: Path, labels: np.ndarray, origin: str) -> None:
    """Write labels (z, y, x) as nnU-Net has them.

    Raises:
        UserInputError: the disk is full; no half-written file is left.
    """
    import blosc2

    array = blosc2.asarray(np.ascontiguousarray(labels))
    array.schunk.vlmeta[ORIGIN] = origin
    with atomic_path(path) as temporary:
        temporary.write_bytes(array.to_cframe())


def is_of_ours(path: Path) -> bool:
    """Whether this program wrote the file, and not nnU-Net.

    Raises:
        UserInputError: the file is damaged.
    """
    array = _opened(path)
    with _in_a_sentence(path):
        return ORIGIN in array.schunk.vlmeta


def read_blosc2_labels(path: Path, shape: Sequence[int]) -> np.ndarray:
    """The labels (z, y, x) of nnU-Net's file.

    Args:
        shape: of the case that they belong to; nothing is unpacked that has another.

    Raises:
        UserInputError: the file is damaged, or the labels are not on that grid.
    """
    array = _opened(path)
    if str(array.dtype) not in LABEL_TYPES:
        raise FileError(path, f"holds numbers of the type {array.dtype}, which labels are not", REMEDY)
    require_on_grid(array, shape, path, REMEDY)
    with _in_a_sentence(path):
        return np.asarray(array[:])


def _opened(path: Path) -> Any:
    import blosc2

    content = read_bytes(path, LARGEST)
    with _in_a_sentence(path):
        # Not blosc2.open, which may run what a file says.
        return blosc2.ndarray_from_cframe(content, copy=True)


@contextlib.contextmanager
def _in_a_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise FileError(path, "is not a file of labels as nnU-Net writes it, or is damaged", REMEDY) from error
