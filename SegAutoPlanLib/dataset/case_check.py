"""All that is wrong with one case."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import FileError
from ..images.geometry import displacement, orientation, require_same_grid, require_sound_spacing
from ..images.image import Image
from ..images.image_io import as_segmentation, image_io_named, require_finite
from .dataset import Case, Dataset
from .label_check import require_known_labels, values_present
from .report import Problem


@dataclass
class CaseFacts:
    """What reading one case found: its problems, and what the dataset as a whole is judged by."""

    identifier: str
    problems: list[Problem] = field(default_factory=list)
    label_values: frozenset[int] | None = None
    """None where the label file could not be read."""
    is_flat: bool | None = None
    """Whether the image has a single slice."""
    orientation: str | None = None
    digest: bytes | None = None
    """Equal for equal voxels of the first channel."""
    missing_spacing_file: str | None = None

    def add(self, error: FileError, severity: Literal["error", "warning"] = "error") -> None:
        self.problems.append(Problem(self.identifier, error.file.name, error.problem, error.remedy, severity))

    def collect(self, check: Callable[..., None], *arguments: Any) -> None:
        try:
            check(*arguments)
        except FileError as error:
            self.add(error)


def check_case(dataset: Dataset, case: Case) -> CaseFacts:
    """Read all files of the case and collect every problem."""
    facts = CaseFacts(case.identifier)
    first = _check_images(dataset, case, facts)
    if case.label_file is not None:
        segmentation = _check_labels(dataset, case.label_file, facts)
        if first is not None and segmentation is not None:
            facts.collect(require_same_grid, segmentation, case.label_file, *first)
            _check_place(segmentation, case.label_file, *first, facts)
    return facts


def require_channels(count: int, dataset: Dataset, case: Case) -> None:
    """Refuse a case that has not as many channels as dataset.json names.

    Raises:
        FileError: it has more or fewer.
    """
    names = dataset.channel_names
    if count != len(names):
        raise FileError(
            case.image_files[0],
            f"the case {case.identifier} has {count} {'channel' if count == 1 else 'channels'}, but dataset.json "
            f"names {len(names)} ({', '.join(names)})",
            f"add the files of the missing channels (…_{count:04d}{dataset.file_ending} and on), or correct "
            '"channel_names"'
            if count < len(names)
            else 'remove the files that are too many, or name their channels in "channel_names"',
        )


def _note_odd_slice_axis(image: Image, path: Path, facts: CaseFacts) -> None:
    _, _, y, x = image.array.shape
    if 1 in (y, x):
        axis = "x" if x == 1 else "y"
        problem = f"is flat along {axis}; it is taken as a 2-D image, with which nnU-Net itself stops"
        remedy = f"nothing, or turn it so that the axis {axis} becomes the third one if nnU-Net is to read it too"
        facts.add(FileError(path, problem, remedy), "warning")


def _check_images(dataset: Dataset, case: Case, facts: CaseFacts) -> tuple[Image, Path] | None:
    first: tuple[Image, Path] | None = None
    channels, all_read, all_zero = 0, True, True
    for path in case.image_files:
        image = _read(image_io_named(dataset.image_io).read, path, facts)
        if image is None:
            all_read = all_zero = False
            continue
        channels += image.array.shape[0]
        facts.collect(require_finite, image.array, path)
        facts.collect(require_sound_spacing, image, path)
        _note_odd_slice_axis(image, path, facts)
        if first is None:
            first = image, path
        else:
            facts.collect(require_same_grid, image, path, *first)
            _check_place(image, path, *first, facts)
        all_zero = _check_contrast(image, path, facts) and all_zero
    if first is None:
        return None
    if all_read:
        facts.collect(require_channels, channels, dataset, case)
    if all_zero:
        facts.add(FileError(first[1], "every voxel of the case is 0", "export the images again, or remove the case"))
    _note_facts(first[0], facts)
    return first


def _note_facts(image: Image, facts: CaseFacts) -> None:
    facts.is_flat = image.array.shape[1] == 1
    facts.orientation = orientation(image.header)
    facts.digest = hashlib.blake2b(np.ascontiguousarray(image.array[0]), digest_size=16).digest()
    facts.missing_spacing_file = image.header.missing_sidecar


def _check_contrast(image: Image, path: Path, facts: CaseFacts) -> bool:
    """Warn of channels without contrast; whether all voxels are 0."""
    lowest, highest = image.array.min(initial=0), image.array.max(initial=0)
    for channel in image.array:
        value = channel.flat[0] if channel.size else 0
        if value != 0 and channel.min() == channel.max():
            remedy = "export the image again, or remove the case"
            facts.add(FileError(path, f"every voxel has the same value ({value:g})", remedy), "warning")
    return bool(lowest == 0 and highest == 0)


def _check_labels(dataset: Dataset, path: Path, facts: CaseFacts) -> Image | None:
    image = _read(image_io_named(dataset.image_io).read_labels, path, facts)
    if image is None:
        return None
    try:
        segmentation = as_segmentation(image, path)
    except FileError as error:
        facts.add(error)
        return None
    facts.collect(require_known_labels, segmentation, path, dataset.label_scheme)
    facts.label_values = values_present(segmentation.array[0])
    if facts.label_values <= {0, dataset.label_scheme.ignore_label}:
        remedy = "check that this is meant; a case without any structure teaches little"
        facts.add(FileError(path, "nothing is labelled, only background", remedy), "warning")
    return segmentation


def _check_place(image: Image, path: Path, first: Image, first_path: Path, facts: CaseFacts) -> None:
    difference = displacement(image, first)
    if difference:
        remedy = "look whether they overlap in a viewer; if they do not, export it again on the image's grid"
        facts.add(FileError(path, f"{difference} from {first_path.name}", remedy), "warning")


def _read(read: Callable[[Path], Image], path: Path, facts: CaseFacts) -> Image | None:
    try:
        image = read(path)
    except FileError as error:
        facts.add(error)
        return None
    return image
