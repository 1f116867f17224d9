"""What a `Predictor` may be given as one case, checked before anything is computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset import Case
from ..errors import UserInputError
from ..files import open_regular
from ..images import Image, SourceHeader, read_image, read_segmentation
from ..preprocessing import CaseGeometry, PreprocessedCase
from .ensemble import Ensemble
from .model import TrainedModel
from .predict import cases_to_segment
from .stages import PreparedCase

PREPROCESSED = "data"
"""nnU-Net's key of what its iterators yield."""


@dataclass(frozen=True)
class ArrayCase:
    """An image as an array."""

    image: np.ndarray
    """(c, z, y, x); a 2-D image has z = 1."""
    properties: Mapping[str, Any]
    """`spacing` (z, y, x) in mm, and what nnU-Net's readers say besides."""
    previous: np.ndarray | None = None
    """Labels (z, y, x) of a cascade's first stage."""
    output: Path | str | None = None
    """A file without ending, which gets the segmentation."""
    name: str | None = None
    """For sentences about it."""


@dataclass(frozen=True)
class GivenCase:
    """One case, however it was given."""

    name: str
    source: Case | ArrayCase | Mapping[str, Any]
    output: Path | None = None
    previous_file: Path | None = None

    @classmethod
    def of_files(cls, case: Case, previous_stage: Path | None, model: TrainedModel) -> GivenCase:
        """A case of files."""
        file = None if previous_stage is None else previous_stage / f"{case.identifier}{model.file_ending}"
        return cls(case.identifier, case, previous_file=file)


def as_case(given: Any, number: int, model: TrainedModel) -> GivenCase:
    """What an iterator gave as its `number`-th case, from 0.

    Raises:
        UserInputError: it is nothing that can be segmented.
    """
    name = f"Image {number + 1}"
    if isinstance(given, Mapping):
        if PREPROCESSED in given:
            output = given.get("ofile")
            return GivenCase(name, given, None if output is None else Path(output))
        known = {field.name for field in fields(ArrayCase)}
        unknown, missing = set(given) - known, {"image", "properties"} - set(given)
        if unknown or missing:
            problem = (
                f"has no {sorted(missing)[0]}" if missing else f"has an unknown key {sorted(map(str, unknown))[0]}"
            )
            raise UserInputError(f"{name}: its dict {problem}; give image and properties, or data and data_properties.")
        given = ArrayCase(**given)
    if isinstance(given, ArrayCase):
        output = None if given.output is None else Path(given.output)
        return GivenCase(given.name or name, given, output)
    if isinstance(given, Case):
        return GivenCase(given.identifier, given)
    if isinstance(given, (str, Path, Sequence)):
        [case] = cases_to_segment([given] if isinstance(given, (str, Path)) else list(given), model.files)
        return GivenCase(case.identifier, case)
    raise UserInputError(f"{name}: {type(given).__name__} is nothing to segment; give an ArrayCase, a dict, or files.")


def read_given(case: GivenCase, ensemble: Ensemble) -> list[PreparedCase]:
    """The case as the networks take it.

    Raises:
        UserInputError: it does not fit the model.
    """
    source, io = case.source, ensemble.model.plan.image_io
    if isinstance(source, ArrayCase):
        return ensemble.prepare(*image_of(source, case.name))
    if isinstance(source, Case):
        previous = None
        if case.previous_file is not None:
            ensemble.require_second_stage()
            previous = read_segmentation(case.previous_file, io).array
        return ensemble.prepare(read_image(source.image_files, io), previous)
    if len(ensemble.members) > 1:
        raise UserInputError(f"{case.name}: is preprocessed for one model, but there are several; give images.")
    stages = ensemble.members[0]
    return [PreparedCase((stages.last,), preprocessed_of(source, case.name, stages.model), None)]


def image_of(case: ArrayCase, name: str) -> tuple[Image, np.ndarray | None]:
    """The array as an image, and its labels (1, z, y, x) of a first stage.

    Raises:
        UserInputError: its axes, its values or its spacing are not as they must be.
    """
    array = _finite(case.image, name)
    header = _header(case.properties, name)
    if case.previous is None:
        return Image(array, header), None
    previous = np.asarray(case.previous)
    if previous.ndim == 4 and len(previous) == 1:
        previous = previous[0]
    if previous.shape != array.shape[1:]:
        raise UserInputError(
            f"{name}: the first stage's labels have {previous.shape} voxels (z, y, x), but the image "
            f"{array.shape[1:]}; give them on the image's grid."
        )
    return Image(array, header), previous[None].astype(np.int16 if previous.max(initial=0) < 1 << 15 else np.int32)


def preprocessed_of(given: Mapping[str, Any], name: str, model: TrainedModel) -> PreprocessedCase:
    """What nnU-Net's iterators yield: `data` (c, z, y, x), an array, a tensor or the path of an .npy file, and
    `data_properties`. A cascade's data ends with a channel per label of its first stage.

    Raises:
        UserInputError: it is not for this model.
    """
    data = given[PREPROCESSED]
    array = _finite(_loaded(data) if isinstance(data, (str, Path)) else data, name)
    try:
        geometry = CaseGeometry.from_nnunet(given["data_properties"], model.plan.transpose_forward)
    except (KeyError, TypeError, ValueError) as error:
        raise UserInputError(
            f"{name}: its data_properties are not those of a preprocessed case ({error!r}); pass on what the "
            "preprocessing said."
        ) from error
    channels, expected = len(model.channel_names), model.input_channels
    if len(array) != expected:
        raise UserInputError(f"{name}: its data has {len(array)} channels, but the network takes {expected}.")
    labels = None
    if expected > channels:
        values = np.array(model.label_scheme.foreground_labels, np.int16).reshape(-1, 1, 1, 1)
        labels = ((array[channels:] > 0.5) * values).max(0)
    return PreprocessedCase(array[:channels], labels, geometry, {})


def _loaded(path: Path | str) -> np.ndarray:
    with open(open_regular(path), "rb") as file:
        try:
            return np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise UserInputError(f"{path}: is no array ({error}); give an .npy file of numbers.") from error


def _finite(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 4:
        raise UserInputError(f"{name}: the array has {array.ndim} axes; give four: channel, z, y, x (z = 1 in 2-D).")
    if array.dtype.kind not in "fiub":
        raise UserInputError(f"{name}: its values are {array.dtype}; give numbers.")
    if not array.size:
        raise UserInputError(f"{name}: its shape is {array.shape}, so it has no voxels; give an image that has some.")
    # A copy: what is preprocessed in place is ours.
    array = np.array(array, np.float32)
    if not np.isfinite(array).all():
        raise UserInputError(
            f"{name}: holds NaN or infinite voxels; replace them (for instance by the background value)."
        )
    return array


def _header(properties: Mapping[str, Any], name: str) -> SourceHeader:
    try:
        header = SourceHeader.from_nnunet(properties)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserInputError(
            f'{name}: its properties cannot be used ({error!r}); give {{"spacing": (z, y, x)}} in mm.'
        ) from error
    if not all(np.isfinite(value) and value > 0 for value in header.spacing):
        raise UserInputError(f"{name}: its spacing is {header.spacing} mm (z, y, x); each must be above 0.")
    return header
