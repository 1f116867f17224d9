"""Preprocessed cases on disk: plain arrays that can be mapped into memory, and one JSON file a case.

    CASE.image.npy        (c, z, y, x) float32
    CASE.seg.npy          (z, y, x) int16
    CASE.foreground.npy   (n, 3) voxels, class after class
    CASE.json             properties, the classes' counts and the stamp; written last, so that a case is whole
                          if this file is there

Uncompressed, a random patch costs the pages it touches and no decoding.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset import Label
from ..errors import UserInputError
from ..files import atomic_path, read_json, write_json
from .case import PreprocessedCase

IMAGE, SEGMENTATION, FOREGROUND, PROPERTIES = ".image.npy", ".seg.npy", ".foreground.npy", ".json"
ARRAYS = (IMAGE, SEGMENTATION, FOREGROUND)


def preprocessed_identifiers(folder: Path | str) -> list[str]:
    """The cases that lie whole in a folder, sorted."""
    return sorted(
        entry.name.removesuffix(PROPERTIES)
        for entry in Path(folder).glob(f"*{PROPERTIES}")
        if entry.with_name(entry.name.removesuffix(PROPERTIES) + IMAGE).is_file()
    )


def open_preprocessed(folder: Path | str, identifier: str) -> PreprocessedCase:
    """Open a case; its arrays are mapped from disk and read-only.

    Raises:
        UserInputError: the case is not there.
    """
    folder = Path(folder)
    description = read_json(folder / f"{identifier}{PROPERTIES}")
    try:
        image, segmentation, voxels = (_map(folder / f"{identifier}{suffix}") for suffix in ARRAYS)
    except (FileNotFoundError, ValueError) as error:
        raise UserInputError(f"{folder}: {identifier} is incomplete ({error}); preprocess the dataset again.") from None
    locations, start = {}, 0
    for entry in description["foreground"]:
        label = _label(entry["label"])
        locations[label] = voxels[start : start + entry["count"]]
        start += entry["count"]
    return PreprocessedCase(image, segmentation, description["properties"], locations)


def save_preprocessed(folder: Path, identifier: str, case: PreprocessedCase, stamp: str) -> None:
    """Write a case; whoever interrupts this leaves no case that looks whole.

    Raises:
        UserInputError: the disk is full.
    """
    remove_preprocessed(folder, identifier, whole=False)
    locations = case.foreground_locations
    voxels = np.concatenate([*locations.values(), np.empty((0, 3), np.int16)])
    for suffix, array in zip(ARRAYS, (case.data, case.segmentation, voxels), strict=True):
        with atomic_path(folder / f"{identifier}{suffix}") as temporary, temporary.open("wb") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)
    _write_description(folder, identifier, case, stamp)


def share_preprocessed(source: Path, folder: Path, identifier: str, case: PreprocessedCase, stamp: str) -> None:
    """Store a case that came out as in `source` without writing its arrays a second time, where links work."""
    remove_preprocessed(folder, identifier, whole=True)
    try:
        for suffix in ARRAYS:
            os.link(source / f"{identifier}{suffix}", folder / f"{identifier}{suffix}")
    except OSError:
        save_preprocessed(folder, identifier, case, stamp)
        return
    _write_description(folder, identifier, case, stamp)


def stored_stamp(folder: Path, identifier: str) -> str | None:
    """The stamp of a case that lies whole in a folder."""
    if not all((folder / f"{identifier}{suffix}").is_file() for suffix in (PROPERTIES, *ARRAYS)):
        return None
    return read_json(folder / f"{identifier}{PROPERTIES}").get("stamp")


def remove_preprocessed(folder: Path, identifier: str, whole: bool) -> None:
    """Remove a case; its description first, so that what is left of it does not look whole."""
    for suffix in (PROPERTIES, *(ARRAYS if whole else ())):
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{identifier}{suffix}").unlink()


def _map(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _label(value: int | list[int]) -> Label:
    return value if isinstance(value, int) else tuple(value)


def _write_description(folder: Path, identifier: str, case: PreprocessedCase, stamp: str) -> None:
    description: dict[str, Any] = {
        "stamp": stamp,
        "foreground": [{"label": label, "count": len(voxels)} for label, voxels in case.foreground_locations.items()],
        "properties": case.properties,
    }
    write_json(folder / f"{identifier}{PROPERTIES}", description)
