"""dataset.json as the Medical Segmentation Decathlon and nnU-Net version 1 wrote it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..dataset_json import DATASET_FILE, parse_dataset_json
from ..errors import FileError, UserInputError
from ..files import read_json
from ..names import problem_of_name
from ..schema import shown

FILE_ENDING = ".nii.gz"
OBSOLETE = ("modality", "training", "test", "numTest", "tensorImageSize")


def read_old_dataset_json(source: Path) -> dict[str, Any]:
    """The description in today's form: labels by name, `channel_names`, `file_ending`; `numTraining` as it was.

    Raises:
        UserInputError: the file is missing, or its labels or modalities are not as they were then.
    """
    path = source / DATASET_FILE
    old = read_json(path)
    if (
        not isinstance(old, dict)
        or not isinstance(old.get("labels"), dict)
        or not isinstance(old.get("modality"), dict)
    ):
        raise FileError(path, 'lacks "labels" or "modality"', "give a folder whose dataset.json has both")
    labels: dict[str, int] = {}
    for value, name in old["labels"].items():
        if not re.fullmatch("[0-9]{1,5}", value) or not isinstance(name, str):
            problem = f'"labels" must map numbers to names, not {shown(value)} to {shown(name)}'
            raise FileError(path, problem, "correct it")
        wanted = "background" if int(value) == 0 else name
        if wanted in labels:
            raise FileError(path, f'two labels are named "{wanted}"', "give each label a name of its own")
        labels[wanted] = int(value)
    new = {key: value for key, value in old.items() if key not in OBSOLETE}
    new["channel_names"] = {str(index): name for index, name in enumerate(old["modality"].values())}
    new["labels"] = labels
    new["file_ending"] = FILE_ENDING
    parse_dataset_json(new, path)
    return new


def new_number_and_name(source: Path, dataset_id: int | None) -> tuple[int, str]:
    """(4, "Hippocampus") for a folder `Task04_Hippocampus`; a given id goes before the folder's number.

    Raises:
        UserInputError: the folder has no number in its name and no id was given.
    """
    folder = source.resolve().name
    match = re.fullmatch(r"Task([0-9]{1,9})_(.+)", folder)
    if dataset_id is None and match is None:
        raise UserInputError(f"{source}: the folder is not named like Task04_Hippocampus; give a dataset id.")
    return (int(match[1]) if dataset_id is None else dataset_id), (match[2] if match else folder)


def nifti_files(folder: Path) -> list[Path]:
    """The `.nii.gz` files of a folder by name; none where it does not exist; hidden files of macOS left out.

    Raises:
        FileError: one has a name that no case can have, or is a pipe, a device, a folder, or a link to nothing.
    """
    if not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if path.name.endswith(FILE_ENDING) and path.name[0] not in "._")
    for path in found:
        if (problem := problem_of_name(path.name)) is not None:
            raise FileError(folder, f"the name of the file {shown(path.name)} {problem}", "rename it")
        if not path.is_file():
            raise FileError(path, "is not a file", "replace it by the image, or remove it")
    return found
