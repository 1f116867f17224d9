"""From a raw dataset folder to a `Dataset`, without reading its images."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..files import read_json
from ..images.image_io import IMAGE_IOS, choose_image_io
from ..labels import LabelScheme
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
    source = folder / "dataset.json"
    dataset_json = _read_dataset_json(source)
    channel_names = _channel_names(dataset_json, source)
    file_ending = dataset_json["file_ending"]
    if "dataset" in dataset_json:
        cases = _listed_cases(dataset_json["dataset"], folder, source)
    else:
        cases = _scanned_cases(folder, file_ending, len(channel_names))
    return Dataset(
        folder=folder,
        name=folder.resolve().name,
        channel_names=channel_names,
        label_scheme=LabelScheme.from_dataset_json(dataset_json, str(source)),
        file_ending=file_ending,
        image_io=_image_io(dataset_json, file_ending, cases),
        num_training=dataset_json["numTraining"],
        cases=cases,
        dataset_json=dataset_json,
    )


def _read_dataset_json(source: Path) -> dict[str, Any]:
    if not source.is_file():
        raise FileError(source, "the file is missing, so this is not a raw dataset", "add it or give another folder")
    dataset_json = read_json(source)
    if not isinstance(dataset_json, dict):
        raise FileError(source, "must hold one JSON object", "write it as nnU-Net's documentation shows")
    labels = dataset_json.get("labels")
    if "training" in dataset_json and isinstance(labels, dict) and labels.get("0") == "background":
        raise FileError(
            source,
            "describes a dataset of the Medical Segmentation Decathlon or of nnU-Net version 1",
            "import it (import_decathlon, import_nnunet_v1) and use the new dataset",
        )
    wanted = ["labels", "numTraining", "file_ending"]
    missing = [key for key in wanted if key not in dataset_json]
    if "channel_names" not in dataset_json and "modality" not in dataset_json:
        missing.insert(0, "channel_names")
    if missing:
        keys = ", ".join(f'"{key}"' for key in missing)
        raise FileError(source, f"lacks {keys}", "add what is missing")
    if isinstance(dataset_json["numTraining"], bool) or not isinstance(dataset_json["numTraining"], int):
        raise FileError(source, '"numTraining" must be a whole number', "write the number of training cases")
    if not isinstance(dataset_json["file_ending"], str) or not dataset_json["file_ending"].startswith("."):
        raise FileError(source, '"file_ending" must be text that starts with a dot', 'write e.g. ".nii.gz"')
    return dataset_json


def _channel_names(dataset_json: dict[str, Any], source: Path) -> tuple[str, ...]:
    names = dataset_json.get("channel_names", dataset_json.get("modality"))
    if isinstance(names, dict) and names:
        return tuple(str(name) for name in names.values())
    raise FileError(source, '"channel_names" must map "0", "1", … to names', 'write e.g. {"0": "CT"}')


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
        if match := pattern.fullmatch(entry):
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
    images = entry.get("images") if isinstance(entry, dict) else None
    if not isinstance(images, list) or not images or not isinstance(entry.get("label"), str):
        raise FileError(source, f'"dataset" entry {name} lacks "images" or "label"', "add them")
    return Case(name, tuple(_expanded(path, folder) for path in images), _expanded(entry["label"], folder))


def _expanded(path: str, folder: Path) -> Path:
    """Environment variables replaced; a relative path is relative to the dataset folder."""
    return folder / os.path.expandvars(path)


def _image_io(dataset_json: dict[str, Any], file_ending: str, cases: tuple[Case, ...]) -> str:
    wanted = dataset_json.get("overwrite_image_reader_writer")
    if wanted in IMAGE_IOS:
        return wanted
    return choose_image_io(file_ending, cases[0].image_files[0]).name
