"""The previous stage's labels of a case, on the grid of a cascade's next stage: on disk, and as input channels.

One file per case, mapped into memory like the preprocessed case that it belongs to. Its text `origin` says what the
labels were made from; another origin, other labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, UserInputError
from ..schema import array_of, one_of, record, text, whole
from .case_file import read_case_file, write_case_file
from .case_gate import METADATA

ENDING = ".labels.safetensors"
REMEDY = "delete it, and train the second stage again, which makes it anew"
HEADER = record(
    {
        "labels": record({"dtype": one_of("U8", "U16"), "shape": array_of(whole(1), length=3)}),
        METADATA: record({"origin": text(longest=1000)}),
    }
)


def previous_labels_path(folder: Path | str, identifier: str) -> Path:
    """Where the previous stage's labels of a case are stored."""
    return Path(folder) / f"{identifier}{ENDING}"


def save_previous_labels(folder: Path, identifier: str, labels: np.ndarray, origin: str) -> Path:
    """Store labels (z, y, x) uint8 or uint16 and return their file.

    Raises:
        UserInputError: the disk is full; no half-written file is left.
    """
    path = previous_labels_path(folder, identifier)
    write_case_file(path, {"labels": labels}, {"origin": origin})
    return path


def open_previous_labels(folder: Path | str, identifier: str, shape: Sequence[int]) -> np.ndarray:
    """The labels (z, y, x), mapped from disk and read-only.

    Args:
        shape: of the case that they belong to.

    Raises:
        UserInputError: they are not there, are damaged, or are not on that grid.
    """
    path = previous_labels_path(folder, identifier)
    labels = _read(path)[0]["labels"]
    require_on_grid(labels, shape, path)
    return labels


def require_on_grid(labels: np.ndarray, shape: Sequence[int], path: Path, remedy: str = REMEDY) -> None:
    """Refuse labels that are not on the grid of the preprocessed case.

    Raises:
        FileError: the sentence tells both shapes.
    """
    if labels.shape != tuple(shape):
        raise FileError(
            path,
            f"has {_by(labels.shape)} voxels, and the preprocessed case of the second stage {_by(shape)}",
            remedy,
        )


def require_known_labels(labels: np.ndarray, known: Sequence[int], path: Path, remedy: str = REMEDY) -> None:
    """Refuse labels that the dataset does not have.

    Raises:
        FileError: the sentence tells the first of them.
    """
    largest = int(labels.max(initial=0))
    if largest > max(known):
        raise FileError(path, f"holds the label {largest}, and the dataset's end with {max(known)}", remedy)


def origin_of_previous_labels(folder: Path | str, identifier: str) -> str | None:
    """What the stored labels say they were made from; None if they are not there or cannot be read."""
    path = previous_labels_path(folder, identifier)
    if not path.is_file():
        return None
    try:
        return _read(path)[1]["origin"]
    except UserInputError:
        # A damaged file is made anew, like a missing one.
        return None


def one_hot(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """([z,] y, x) → a float32 channel per value, in their order; anything else (-1 included) is in none."""
    return np.stack([(labels == value).astype(np.float32) for value in values])


def _read(path: Path) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
    return read_case_file(path, HEADER)


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
