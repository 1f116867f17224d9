"""Preprocessed cases on disk: one file a case, whose arrays are mapped into memory.

The arrays are not compressed: a random patch costs the pages it touches, and no decoding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UserInputError
from ..labels import Label
from .case import PreprocessedCase
from .case_file import read_case_file, read_case_texts, write_case_file

ENDING = ".case.safetensors"


def case_path(folder: Path | str, identifier: str) -> Path:
    return Path(folder) / f"{identifier}{ENDING}"


def preprocessed_identifiers(folder: Path | str) -> list[str]:
    """The cases of a folder, sorted."""
    return sorted(entry.name.removesuffix(ENDING) for entry in Path(folder).glob(f"*{ENDING}"))


def open_preprocessed(folder: Path | str, identifier: str) -> PreprocessedCase:
    """Open a case; its arrays are mapped from disk and read-only.

    Raises:
        UserInputError: the case is not there, or the file is damaged.
    """
    arrays, texts = read_case_file(case_path(folder, identifier))
    locations, start = {}, 0
    for label, count in json.loads(texts["foreground"]):
        locations[_hashable(label)] = arrays["foreground"][start : start + count]
        start += count
    return PreprocessedCase(arrays["image"], arrays["segmentation"], json.loads(texts["properties"]), locations)


def save_preprocessed(folders: Sequence[Path], identifier: str, case: PreprocessedCase, stamps: Sequence[str]) -> None:
    """Store a case in each of the folders: written once, linked (where the disk cannot, written again) in the
    others. `stamps` tell of which makings this is the result.

    Raises:
        UserInputError: the disk is full; no half-written file is left.
    """
    if case.segmentation is None:
        raise ValueError("only cases with a segmentation are stored")
    locations = case.foreground_locations
    arrays = {
        # By falling size of their elements, so that each begins where its type wants to.
        "image": case.data,
        "foreground": np.concatenate([*locations.values(), np.empty((0, 3), np.int16)]),
        "segmentation": case.segmentation,
    }
    texts = {
        "stamps": json.dumps(list(stamps)),
        "foreground": json.dumps([(label, len(voxels)) for label, voxels in locations.items()]),
        "properties": json.dumps(case.properties),
    }
    first, *others = (case_path(folder, identifier) for folder in folders)
    write_case_file(first, arrays, texts)
    for other in others:
        other.unlink(missing_ok=True)
        try:
            os.link(first, other)
        except OSError:
            write_case_file(other, arrays, texts)


def stored_stamps(folder: Path, identifier: str) -> tuple[str, ...]:
    """The stamps of a stored case; none if it is not there or cannot be read."""
    path = case_path(folder, identifier)
    if not path.is_file():
        return ()
    try:
        return tuple(json.loads(read_case_texts(path).get("stamps", "[]")))
    except UserInputError:
        # A damaged file is made anew, like a missing one.
        return ()


def _hashable(label: int | list[int]) -> Label:
    return label if isinstance(label, int) else tuple(label)
