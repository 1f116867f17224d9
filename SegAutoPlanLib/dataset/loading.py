"""From a raw dataset folder to a `Dataset`, without reading its images."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..dataset_json import DATASET_FILE, LISTED_CASE, parse_dataset_json
from ..errors import FileError
from ..files import TEMPORARY_PREFIX, read_json
from ..images.image_io import choose_image_io
from ..names import problem_of_name, safe_name
from ..schema import problem_of, shown
from .dataset import Case, Dataset

CHANNEL_DIGITS = 4


def load_dataset(folder: Path | str) -> Dataset:
    """Read dataset.json and list the cases.

    A case that lacks a channel or label file is listed with the path where the file should be: reading it
    raises the sentence, and `check_dataset` reports it beside every other problem.

    Raises:
        UserInputError: dataset.json is missing or wrong, or there is no case.
    """
    # What is absolute means the same to a worker on another computer.
    folder = Path(folder).absolute()
    source = folder / DATASET_FILE
    description = parse_dataset_json(_read(source), source, required=("numTraining",))
    document, file_ending = description.document, description.file_ending
    if "dataset" in document:
        cases = _listed_cases(document["dataset"], folder, source)
    else:
        cases = _scanned_cases(folder, file_ending, len(description.channel_names))
    return Dataset(
        folder=folder,
        name=safe_name(folder.resolve().name, str(folder)),
        dataset_json=description,
        image_io=choose_image_io(file_ending, cases[0].image_files[0], description.wanted_image_io).name,
        cases=cases,
    )


def _read(source: Path) -> Any:
    if not source.is_file():
        raise FileError(source, "the file is missing, so this is not a raw dataset", "add it or give another folder")
    document = read_json(source)
    labels = document.get("labels") if isinstance(document, dict) else None
    if isinstance(labels, dict) and "training" in document and labels.get("0") == "background":
        raise FileError(
            source,
            "describes a dataset of the Medical Segmentation Decathlon or of nnU-Net version 1",
            "import it (import_decathlon, import_nnunet_v1) and use the new dataset",
        )
    return document


def _scanned_cases(folder: Path, file_ending: str, channel_count: int) -> tuple[Case, ...]:
    images, labels = folder / "imagesTr", folder / "labelsTr"
    if not images.is_dir():
        raise FileError(images, "the folder is missing", "put the training images there")
    return tuple(
        replace(case, label_file=labels / f"{case.identifier}{file_ending}")
        for case in find_cases(images, file_ending, channel_count)
    )


def find_cases(images: Path, file_ending: str, channel_count: int) -> tuple[Case, ...]:
    """The cases of a folder of `CASE_0000.ending` files, by identifier, without label files.

    Where a case has fewer files than the others, the paths of those that should be there are listed too.

    Raises:
        FileError: there is no such file.
    """
    pattern = re.compile(rf"(.+)_(\d{{{CHANNEL_DIGITS}}}){re.escape(file_ending)}")
    files: dict[str, list[Path]] = {}
    for entry in sorted(os.listdir(images)):
        # Files that macOS leaves beside others, and those that somebody was writing when he was ended, are no images.
        if not entry.startswith(("._", TEMPORARY_PREFIX)) and (match := pattern.fullmatch(entry)):
            files.setdefault(match[1], []).append(images / entry)
    if not files:
        raise FileError(
            images,
            f"holds no file named CASE_0000{file_ending}",
            'name the images so, or correct "file_ending" in dataset.json',
        )
    # A colour picture or a 4-D file holds several channels: the fullest case tells how many files to expect.
    expected = min(channel_count, max(len(channels) for channels in files.values()))
    return tuple(
        Case(identifier, _with_missing(identifier, files[identifier], images, file_ending, expected))
        for identifier in sorted(files)
    )


def _with_missing(
    identifier: str, found: list[Path], images: Path, file_ending: str, expected: int
) -> tuple[Path, ...]:
    """The files of a case and, where there are too few, the paths of those that should be there."""
    if len(found) >= expected:
        return tuple(found)
    names = [images / f"{identifier}_{channel:0{CHANNEL_DIGITS}d}{file_ending}" for channel in range(expected)]
    return tuple(sorted({*found, *names}))


def _listed_cases(entries: Any, folder: Path, source: Path) -> tuple[Case, ...]:
    if not isinstance(entries, dict) or not entries:
        raise FileError(source, '"dataset" must list the cases', 'write {"CASE": {"images": […], "label": …}}')
    return tuple(_listed_case(name, entries[name], folder, source) for name in sorted(entries))


def _listed_case(name: str, entry: Any, folder: Path, source: Path) -> Case:
    """A case whose files may lie anywhere, as in nnU-Net: they are only read. Its name becomes one of ours."""
    if (problem := problem_of_name(name)) is not None:
        raise FileError(source, f'a case of "dataset" is named {shown(name)}; a name {problem}', "rename it")
    if (problem := problem_of(LISTED_CASE, entry)) is not None:
        raise FileError(source, f'"dataset" entry {name} {problem}', "correct it")
    return Case(name, tuple(_expanded(path, folder) for path in entry["images"]), _expanded(entry["label"], folder))


def _expanded(path: str, folder: Path) -> Path:
    """Environment variables replaced; a relative path is relative to the dataset folder."""
    return folder / os.path.expandvars(path)
