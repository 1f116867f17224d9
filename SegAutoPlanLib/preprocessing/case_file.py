"""Named arrays and a few words in one file that can be mapped into memory: the safetensors format.

Eight bytes (little-endian length), a JSON header of that length that gives each array's type, shape and place, then
the arrays, uncompressed. One file means one rename: a case is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import FileError, UserInputError, sentence_of
from ..files import atomic_path, open_regular, parse_json
from ..schema import Rule, every, problem_of
from .case_gate import METADATA, TYPES, header, size_of_arrays

NAMES = {dtype: name for name, dtype in TYPES.items()}
ALIGNMENT = 64
LENGTH = struct.Struct("<Q")
"""Of the header, before it."""
LONGEST_HEADER = 100 << 20


def write_case_file(path: Path, arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> None:
    """Write the arrays (of the types in `TYPES`) and texts, atomically.

    Raises:
        UserInputError: the disk is full.
    """
    entries: dict[str, object] = {METADATA: dict(texts)}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        entries[name] = {"dtype": NAMES[array.dtype], "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    with atomic_path(path) as temporary, temporary.open("wb", buffering=0) as file:
        file.write(LENGTH.pack(len(text)) + text)
        for array in arrays.values():
            _write_whole(file, memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8)))


def read_case_file(path: Path, rule: Rule = header) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays, mapped read-only, and the texts.

    Args:
        rule: what the header must be besides.

    Raises:
        UserInputError: the file is missing or is not of this format.
    """
    with _open(path) as file:
        entries, start = _read_header(file, path, rule)
        texts = entries.pop(METADATA, {})
        whole = np.memmap(file, np.uint8, mode="r")
    arrays = {
        name: whole[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
        .view(TYPES[entry["dtype"]])
        .reshape(entry["shape"])
        for name, entry in entries.items()
    }
    return arrays, texts


def parse_case_text(texts: Mapping[str, str], name: str, rule: Rule, path: Path) -> Any:
    """What the JSON of one of a file's texts says.

    Raises:
        UserInputError: it is missing, is not JSON, or breaks the rule.
    """
    if name not in texts:
        raise damaged(path, f"lacks its {name}")
    try:
        content = parse_json(texts[name].encode("utf-8", "surrogatepass"), path)
    except FileError as error:
        raise damaged(path, f"holds {name} that cannot be read: {error.problem}") from None
    require_in_case(rule, content, path)
    return content


def require_in_case(rule: Rule, value: Any, path: Path) -> None:
    """Refuse a case file of which something does not fit.

    Raises:
        UserInputError: the sentence says what.
    """
    problem = problem_of(rule, value)
    if problem is not None:
        raise damaged(path, problem)


def damaged(path: Path, problem: str) -> FileError:
    """The error of a case file that is not as it was written."""
    return FileError(path, f"is not a preprocessed case ({problem})", "delete it and preprocess the dataset again")


def _open(path: Path) -> BinaryIO:
    try:
        return open(open_regular(path), "rb")
    except FileNotFoundError:
        raise UserInputError(f"{path}: the file is missing; preprocess the dataset again.") from None
    except OSError as error:
        error.filename = str(path)
        raise UserInputError(sentence_of(error)) from error


def _read_header(file: BinaryIO, path: Path, rule: Rule) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays begin."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(LENGTH.size)
    length = LENGTH.unpack(start)[0] if len(start) == LENGTH.size else 0
    if not 2 <= length <= min(LONGEST_HEADER, size - LENGTH.size):
        raise damaged(path, "it has no header")
    try:
        content = parse_json(file.read(length), path)
    except FileError as error:
        raise damaged(path, f"its header {error.problem}") from None
    require_in_case(every(header, rule), content, path)
    if size != LENGTH.size + length + size_of_arrays(content):
        raise damaged(path, "it is cut off, or longer than its header says")
    return content, LENGTH.size + length


def _write_whole(file, content: memoryview) -> None:
    """One call writes at most 2 GiB on some systems."""
    while content:
        content = content[file.write(content) :]
