"""Named arrays and a few words in one file that can be mapped into memory: the safetensors format.

Eight bytes (little-endian length), a JSON header of that length that gives each array's type, shape and place, then
the arrays, uncompressed. One file means one rename: a case is there whole or not at all.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import UserInputError
from ..files import atomic_path

TYPES = {"F32": np.dtype("<f4"), "I16": np.dtype("<i2"), "I32": np.dtype("<i4")}
NAMES = {dtype: name for name, dtype in TYPES.items()}
ALIGNMENT = 64
LONGEST_HEADER = 100 << 20
METADATA = "__metadata__"


def write_case_file(path: Path, arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> None:
    """Write the arrays (of the types in `TYPES`) and texts, atomically.

    Raises:
        UserInputError: the disk is full.
    """
    header: dict[str, object] = {METADATA: dict(texts)}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    with atomic_path(path) as temporary, temporary.open("wb", buffering=0) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            _write_whole(file, memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8)))


def read_case_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays, mapped read-only, and the texts.

    Raises:
        UserInputError: the file is missing or is not of this format.
    """
    header, start = _read_header(path)
    texts = header.pop(METADATA, {})
    try:
        whole = np.memmap(path, np.uint8, mode="r")
        arrays = {
            name: whole[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
            .view(TYPES[entry["dtype"]])
            .reshape(entry["shape"])
            for name, entry in header.items()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    return arrays, texts


def read_case_texts(path: Path) -> dict[str, str]:
    """The texts alone, for which little of the file is read."""
    return _read_header(path)[0].get(METADATA, {})


def _read_header(path: Path) -> tuple[dict, int]:
    """The header, and where the arrays begin."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, LONGEST_HEADER)))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != METADATA]
    except FileNotFoundError:
        raise UserInputError(f"{path}: the file is missing; preprocess the dataset again.") from None
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if path.stat().st_size != 8 + length + max(ends, default=0):
        raise _damaged(path)
    return header, 8 + length


def _damaged(path: Path) -> UserInputError:
    return UserInputError(f"{path}: is not a preprocessed case; delete it and preprocess the dataset again.")


def _write_whole(file, content: memoryview) -> None:
    """One call writes at most 2 GiB on some systems."""
    while content:
        content = content[file.write(content) :]
