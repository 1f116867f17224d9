"""nnU-Net's own file of a previous stage's labels, `CASE.b2nd`: read and written where blosc2 is installed.

Training needs neither: what nnU-Net's first stage left is turned into our file once, and ours into its, so that its
second stage can train on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import FileError
from .blosc2_file import ENDING, in_a_sentence, open_blosc2, write_blosc2
from .previous_stage import require_on_grid

ORIGIN = "segautoplan_origin"
"""In a file of ours; one without it is nnU-Net's."""
LARGEST = 1 << 32
"""Bytes; labels compress to a hundredth of their size."""
LABEL_TYPES = ("uint8", "uint16", "int16", "int8", "int32")
REMEDY = "delete it, so that the first stage's networks make these labels anew"
REFUSAL = ("is not a file of labels as nnU-Net writes it, or is damaged", REMEDY)


def blosc2_path(folder: Path | str, identifier: str) -> Path:
    """Where nnU-Net looks for the previous stage's labels of a case."""
    return Path(folder) / f"{identifier}{ENDING}"


def save_blosc2_labels(path: Path, labels: np.ndarray, origin: str) -> None:
    """Write labels (z, y, x) as nnU-Net has them.

    Raises:
        UserInputError: the disk is full; no half-written file is left.
    """
    write_blosc2(path, labels, {ORIGIN: origin})


def is_of_ours(path: Path) -> bool:
    """Whether this program wrote the file, and not nnU-Net.

    Raises:
        UserInputError: the file is damaged.
    """
    array = open_blosc2(path, LARGEST, REFUSAL)
    with in_a_sentence(path, REFUSAL):
        return ORIGIN in array.schunk.vlmeta


def read_blosc2_labels(path: Path, shape: Sequence[int]) -> np.ndarray:
    """The labels (z, y, x) of nnU-Net's file.

    Args:
        shape: of the case that they belong to; nothing is unpacked that has another.

    Raises:
        UserInputError: the file is damaged, or the labels are not on that grid.
    """
    array = open_blosc2(path, LARGEST, REFUSAL)
    if str(array.dtype) not in LABEL_TYPES:
        raise FileError(path, f"holds numbers of the type {array.dtype}, which labels are not", REMEDY)
    require_on_grid(array, shape, path, REMEDY)
    with in_a_sentence(path, REFUSAL):
        return np.asarray(array[:])
