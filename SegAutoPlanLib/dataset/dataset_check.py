"""What is wrong with a dataset as a whole, from its description and the facts of its cases."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..dataset_json import DATASET_FILE
from ..errors import UserInputError
from ..images.image_io import IMAGE_IOS
from .case_check import CaseFacts
from .dataset import Dataset
from .report import Problem
from .splits import FOLDS, SPLITS_FILE, read_splits

SIDES = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)
CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")


def check_dataset_json(dataset: Dataset) -> list[Problem]:
    """What dataset.json says that the folder does not bear out, or that will surprise."""
    return [
        *_check_count(dataset),
        *_check_keys(dataset),
        *_check_shared_values(dataset),
        *_check_sides(dataset),
        *_check_identifiers(dataset),
        *_check_splits(dataset),
    ]


def check_files(dataset: Dataset) -> list[Problem]:
    """Files in imagesTr and labelsTr that belong to no case, and gaps in the numbering of channels."""
    if "dataset" in dataset.dataset_json.document:
        return []
    used = {path for case in dataset.cases for path in (*case.image_files, case.label_file)}
    problems = []
    for path in _files(dataset.folder / "imagesTr", dataset.file_ending):
        if path not in used:
            wanted = f"name it CASE_0000{dataset.file_ending} (four digits for the channel) or move it away"
            problems.append(_warning(path.name, "is no image of any case, and is not used", wanted))
    for path in _files(dataset.folder / "labelsTr", dataset.file_ending):
        if path not in used:
            remedy = "add the image to imagesTr, or move the label file away"
            problems.append(_warning(path.name, "has no image in imagesTr, and is not used", remedy))
    for case in dataset.cases:
        numbers = [int(path.name[len(case.identifier) + 1 :][:4]) for path in case.image_files]
        if numbers != list(range(len(numbers))):
            found = ", ".join(f"{number:04d}" for number in numbers)
            problem = f"its channels are numbered {found}; they are taken in this order"
            problems.append(Problem(case.identifier, "", problem, "number them from 0000 on", "warning"))
    return problems


def check_together(dataset: Dataset, facts: Sequence[CaseFacts]) -> list[Problem]:
    """What shows only when all cases are seen together."""
    return [
        *_check_labels_used(dataset, facts),
        *_check_orientations(dataset, facts),
        *_check_flatness(facts),
        *_check_duplicates(facts),
        *_check_spacing_files(facts),
    ]


def _check_count(dataset: Dataset) -> Iterable[Problem]:
    count = len(dataset.cases)
    if dataset.num_training != count:
        yield Problem(
            "",
            DATASET_FILE,
            f'"numTraining" is {dataset.num_training}, but there are {count} cases',
            f'write "numTraining": {count} (the batch size depends on it), or add the missing cases',
        )
    if count == 1:
        yield _warning("", "there is only one case, so nothing is left to validate on", "add cases")
    elif count < FOLDS:
        problem = f"there are {count} cases, fewer than the {FOLDS} folds of cross-validation"
        yield _warning("", problem, "add cases; until then there are fewer folds")


def _check_keys(dataset: Dataset) -> Iterable[Problem]:
    if "channel_names" not in dataset.dataset_json.document:
        yield _warning(DATASET_FILE, '"modality" is an old name', 'rename the key to "channel_names"')
    wanted = dataset.dataset_json.document.get("overwrite_image_reader_writer", "None")
    if wanted != "None" and wanted not in IMAGE_IOS:
        problem = f'"overwrite_image_reader_writer" is {wanted!r}, which is not known; {dataset.image_io} is used'
        yield _warning(DATASET_FILE, problem, f"remove it or write one of {', '.join(IMAGE_IOS)}")


def _check_shared_values(dataset: Dataset) -> Iterable[Problem]:
    names = defaultdict(list)
    for name, value in dataset.label_scheme.entries:
        names[value].append(name)
    for value, twins in names.items():
        if len(twins) > 1:
            yield _warning(DATASET_FILE, f"the labels {_some(twins)} have the same value {value}", "remove one of them")


def _check_sides(dataset: Dataset) -> Iterable[Problem]:
    sided = [name for name, _ in dataset.label_scheme.entries if SIDES.search(CAMEL_CASE.sub("_", name))]
    if sided:
        yield _warning(
            DATASET_FILE,
            f"labels name a side ({_some(sided)}), but training and prediction mirror images, which swaps the sides",
            "train with the recipe nomirroring",
        )


def _check_identifiers(dataset: Dataset) -> Iterable[Problem]:
    spellings = defaultdict(list)
    for case in dataset.cases:
        spellings[case.identifier.casefold()].append(case.identifier)
    for alike in spellings.values():
        if len(alike) > 1:
            problem = f"the cases {_some(alike)} differ only in upper and lower case"
            yield _warning("", problem, "rename one: on Windows and macOS their files would replace each other")


def _check_splits(dataset: Dataset) -> Iterable[Problem]:
    path = dataset.folder / SPLITS_FILE
    if not path.is_file():
        return
    try:
        named = {name for split in read_splits(path) for part in split.values() for name in part}
    except UserInputError:
        yield Problem("", path.name, "is not a list of folds", 'write [{"train": [ids], "val": [ids]}, …]')
        return
    unknown = sorted(named - {case.identifier for case in dataset.cases})
    if unknown:
        yield Problem("", path.name, f"names cases that do not exist ({_some(unknown)})", "correct the identifiers")


def _check_labels_used(dataset: Dataset, facts: Sequence[CaseFacts]) -> Iterable[Problem]:
    read = [case.label_values for case in facts if case.label_values is not None]
    if not read:
        return
    seen = frozenset().union(*read)
    foreground = set(dataset.label_scheme.foreground_labels)
    if not foreground & seen:
        yield Problem(
            "", "labelsTr", "no case has anything labelled", "check the label files; there is nothing to learn"
        )
        return
    absent = sorted(foreground - seen)
    if absent:
        names = [f"{dataset.label_scheme.name_of(value)} ({value})" for value in absent]
        problem = f"no case has the label{'s' if len(names) > 1 else ''} {_some(names)}"
        yield _warning(DATASET_FILE, problem, "label some cases, or remove the entry and renumber")


def _check_orientations(dataset: Dataset, facts: Sequence[CaseFacts]) -> Iterable[Problem]:
    found = Counter(case.orientation for case in facts if case.orientation)
    if len(found) < 2 or dataset.image_io.endswith("WithReorient"):
        return
    (usual, _), *others = found.most_common()
    unusual = [case.identifier for case in facts if case.orientation in dict(others)]
    counts = ", ".join(f"{name} in {count}" for name, count in found.most_common())
    family = "NibabelIOWithReorient" if dataset.image_io.startswith("Nibabel") else "SimpleITKIOWithReorient"
    yield _warning(
        "",
        f"the images are oriented differently ({counts} cases; not {usual}: {_some(unusual)}), "
        "and the network sees voxels as they are stored",
        f'write "overwrite_image_reader_writer": "{family}" in dataset.json',
    )


def _check_flatness(facts: Sequence[CaseFacts]) -> Iterable[Problem]:
    flat = [case.identifier for case in facts if case.is_flat]
    volumes = [case.identifier for case in facts if case.is_flat is False]
    if flat and volumes:
        problem = f"2-D images ({_some(flat)}) and volumes ({_some(volumes)}) are mixed"
        yield _warning("", problem, "make two datasets, unless the single slices are meant")


def _check_duplicates(facts: Sequence[CaseFacts]) -> Iterable[Problem]:
    alike = defaultdict(list)
    for case in facts:
        if case.digest is not None:
            alike[case.digest].append(case.identifier)
    for identifiers in alike.values():
        if len(identifiers) > 1:
            problem = f"the images of {_some(identifiers)} are identical, voxel by voxel"
            yield _warning("", problem, "keep one: in different folds they make validation look better than it is")


def _check_spacing_files(facts: Sequence[CaseFacts]) -> Iterable[Problem]:
    missing = [case.missing_spacing_file for case in facts if case.missing_spacing_file]
    if missing:
        problem = f"no spacing is known for {len(missing)} of {len(facts)} images; 1 mm is assumed"
        yield _warning("", problem, f'add {_some(missing)} with e.g. {{"spacing": [3.0, 0.5, 0.5]}} (z, y, x)')


def _files(folder: Path, ending: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(ending) and name[0] != "."]


def _warning(file: str, problem: str, remedy: str) -> Problem:
    return Problem("", file, problem, remedy, "warning")


def _some(names: Sequence[str], limit: int = 4) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
