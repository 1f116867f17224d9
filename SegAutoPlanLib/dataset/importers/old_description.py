"""dataset.json as the Medical Segmentation Decathlon and nnU-Net version 1 wrote it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ...files import read_json
from ..image import FileError
from ..labels import LabelScheme

FILE_ENDING = ".nii.gz"
OBSOLETE = ("modality", "training", "test", "numTest", "tensorImageSize")


def read_old_description(source: Path) -> dict[str, Any]:
    """The description in today's form: labels by name, `channel_names`, `file_ending`; `numTraining` as it was.

    Raises:
        UserInputError: the file is missing, or its labels or modalities are not as they were then.
    """
    path = source / "dataset.json"
    old = read_json(path)
    if (
        not isinstance(old, dict)
        or not isinstance(old.get("labels"), dict)
        or not isinstance(old.get("modality"), dict)
    ):
        raise FileError(path, 'lacks "labels" or "modality"', "give a folder whose dataset.json has both")
    labels: dict[str, int] = {}
    for value, name in old["labels"].items():
        if not re.fullmatch(r"\d+", value) or not isinstance(name, str):
            raise FileError(path, f'"labels" must map numbers to names, not {value!r} to {name!r}', "correct it")
        wanted = "background" if int(value) == 0 else name
        if wanted in labels:
            raise FileError(path, f'two labels are named "{wanted}"', "give each label a name of its own")
        labels[wanted] = int(value)
    new = {key: value for key, value in old.items() if key not in OBSOLETE}
    new["channel_names"] = {str(index): str(name) for index, name in enumerate(old["modality"].values())}
    new["labels"] = labels
    new["file_ending"] = FILE_ENDING
    LabelScheme.from_description(new, str(path))
    return new


def task_number_and_name(source: Path) -> tuple[int | None, str]:
    """(4, "Hippocampus") of a folder `Task04_Hippocampus`; (None, the folder's name) of another."""
    match = re.fullmatch(r"Task(\d+)_(.+)", source.resolve().name)
    return (int(match[1]), match[2]) if match else (None, source.resolve().name)


def nifti_files(folder: Path) -> list[Path]:
    """The `.nii.gz` files of a folder by name; none where it does not exist; hidden files of macOS left out."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.endswith(FILE_ENDING) and path.name[0] not in "._")
