"""All that is wrong with one case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .dataset import Case, Dataset
from .image import FileError, Image
from .image_io import as_segmentation, image_io_named, require_finite, require_same_grid
from .report import Problem


@dataclass
class CaseFacts:
    """What reading one case found: its problems, and what the dataset as a whole is judged by."""

    identifier: str
    problems: list[Problem] = field(default_factory=list)
    label_values: frozenset[int] = frozenset()

    def error(self, error: FileError) -> None:
        self.problems.append(Problem(self.identifier, error.file.name, error.problem, error.remedy))


def check_case(dataset: Dataset, case: Case) -> CaseFacts:
    """Read all files of the case and collect every problem."""
    facts = CaseFacts(case.identifier)
    first: tuple[Image, Path] | None = None
    channels = 0
    for path in case.image_files:
        image = _read(image_io_named(dataset.image_io).read, path, facts)
        if image is None:
            continue
        channels += image.array.shape[0]
        first = first or (image, path)
        _collect(facts, require_finite, image.array, path)
        _collect(facts, require_same_grid, image, path, *first)
    if channels != len(dataset.channel_names) and not facts.problems:
        _collect(facts, require_channels, channels, dataset, case)
    if case.label_file is not None:
        _check_labels(dataset, case.label_file, first, facts)
    return facts


def require_channels(count: int, dataset: Dataset, case: Case) -> None:
    """Raises:
    FileError: the case has not as many channels as dataset.json names.
    """
    wanted = len(dataset.channel_names)
    if count != wanted:
        raise FileError(
            case.image_files[0],
            f"the case {case.identifier} has {count} channels, but dataset.json names {wanted} "
            f"({', '.join(dataset.channel_names)})",
            "add or remove image files, or correct dataset.json",
        )


def require_known_labels(segmentation: Image, path: Path, dataset: Dataset) -> None:
    """Raises:
    FileError: the label file has a value that dataset.json does not know.
    """
    # The known values are consecutive from 0, so that the extremes tell without sorting all voxels.
    known = dataset.labels.expected_values
    array = segmentation.array
    if array.size == 0 or (int(array.min()) in known and int(array.max()) in known):
        return
    unknown = [int(value) for value in np.unique(array) if int(value) not in known]
    which = f"label {unknown[0]} is" if len(unknown) == 1 else f"labels {_listed(unknown)} are"
    raise FileError(
        path,
        f"{which} not in dataset.json (labels are {_listed(sorted(known))})",
        "add it to dataset.json or correct the label file",
    )


def _check_labels(dataset: Dataset, path: Path, first: tuple[Image, Path] | None, facts: CaseFacts) -> None:
    image = _read(image_io_named(dataset.image_io).read_labels, path, facts)
    if image is None:
        return
    try:
        segmentation = as_segmentation(image, path)
    except FileError as error:
        facts.error(error)
        return
    if first is not None:
        _collect(facts, require_same_grid, segmentation, path, *first)
    _collect(facts, require_known_labels, segmentation, path, dataset)
    facts.label_values = frozenset(int(value) for value in np.unique(segmentation.array))


def _read(read: Callable[[Path], Image], path: Path, facts: CaseFacts) -> Image | None:
    try:
        return read(path)
    except FileError as error:
        facts.error(error)
        return None


def _collect(facts: CaseFacts, check, *arguments) -> None:
    try:
        check(*arguments)
    except FileError as error:
        facts.error(error)


def _listed(values: list[int], limit: int = 12) -> str:
    shown = ", ".join(str(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown}, …"
