"""Preprocessed cases on disk: one file per case, whose arrays are mapped into memory.

The arrays are not compressed: a random patch costs the pages it touches, and no decoding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserInputError
from ..labels import Label
from .case import PreprocessedCase
from .case_file import parse_case_text, read_case_file, require_in_case, write_case_file
from .case_gate import STAMPS, counts_of, properties, shapes_of_a_case, voxels_in
from .case_geometry import CaseGeometry
from .previous_stage import open_previous_labels

ENDING = ".case.safetensors"


def case_path(folder: Path | str, identifier: str) -> Path:
    """Where a preprocessed case is stored."""
    return Path(folder) / f"{identifier}{ENDING}"


def preprocessed_identifiers(folder: Path | str) -> list[str]:
    """The cases of a folder, sorted."""
    return sorted(entry.name.removesuffix(ENDING) for entry in Path(folder).glob(f"*{ENDING}"))


@dataclass(frozen=True)
class TrainingCase:
    """What patches are drawn from; how the image lay in its file does not matter here.

    The fields are those of `PreprocessedCase`; the arrays are mapped from disk and read-only.
    """

    data: np.ndarray
    segmentation: np.ndarray
    foreground_locations: dict[Label, np.ndarray]
    previous_stage: np.ndarray | None = None
    """(z, y, x) the previous stage's labels, for a cascade's second one."""


def open_training_case(folder: Path | str, identifier: str, previous_stage: Path | None = None) -> TrainingCase:
    """Open a case to train with.

    Args:
        previous_stage: folder of the previous stage's labels on this grid.

    Raises:
        UserInputError: the case is not there, or the file is damaged; the labels do not fit it.
    """
    path = case_path(folder, identifier)
    arrays, texts = read_case_file(path, shapes_of_a_case)
    labels = arrays["segmentation"]
    previous = None if previous_stage is None else open_previous_labels(previous_stage, identifier, labels.shape)
    return TrainingCase(arrays["image"], labels, _locations(arrays, texts, path), previous)


def open_preprocessed(folder: Path | str, identifier: str, axis_order: Sequence[int]) -> PreprocessedCase:
    """Open a case with the way back to its image's grid; its arrays are mapped from disk and read-only.

    The file holds nnU-Net's properties, and the axis order is not among them: `axis_order` is `transpose_forward`
    of the plan that the folder was made with.

    Raises:
        UserInputError: the case is not there, or the file is damaged.
    """
    path = case_path(folder, identifier)
    arrays, texts = read_case_file(path, shapes_of_a_case)
    geometry = CaseGeometry.from_nnunet(parse_case_text(texts, "properties", properties, path), axis_order)
    return PreprocessedCase(arrays["image"], arrays["segmentation"], geometry, _locations(arrays, texts, path))


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
        "properties": json.dumps(case.geometry.to_nnunet()),
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
        arrays, texts = read_case_file(path, shapes_of_a_case)
        # What is read of it later is looked at now, while it can still be made anew.
        parse_case_text(texts, "properties", properties, path)
        _locations(arrays, texts, path)
        return tuple(parse_case_text(texts, "stamps", STAMPS, path))
    except UserInputError:
        # A damaged file is made anew, like a missing one.
        return ()


def _locations(arrays: Mapping[str, np.ndarray], texts: Mapping[str, str], path: Path) -> dict[Label, np.ndarray]:
    voxels = arrays["foreground"]
    require_in_case(voxels_in(arrays["segmentation"].shape), voxels, path)
    locations, start = {}, 0
    for label, count in parse_case_text(texts, "foreground", counts_of(len(voxels)), path):
        locations[_hashable(label)] = voxels[start : start + count]
        start += count
    return locations


def _hashable(label: int | list[int]) -> Label:
    return label if isinstance(label, int) else tuple(label)
