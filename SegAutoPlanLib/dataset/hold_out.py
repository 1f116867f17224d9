"""Something to segment after training that was not trained on: one case in five of any raw dataset."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..files import read_json, write_json
from .dataset import Case
from .loading import load_dataset

ONE_IN = 5


@dataclass(frozen=True)
class HeldOut:
    """An image to segment after training, and the truth about the part that was not trained on."""

    name: str
    image_files: tuple[Path, ...]
    reference_file: Path
    left_out: tuple[slice, slice, slice]
    """(z, y, x): the part of the grid that counts."""


@dataclass(frozen=True)
class HeldOutData:
    """A raw dataset to train on, and what was held out of it."""

    dataset: Path
    held_out: tuple[HeldOut, ...]
    story: str


def hold_out_cases(source: Path, raw: Path) -> HeldOutData:
    """Make a raw dataset of four cases in five, by links where the system allows them.

    One that was made of the same cases before is taken as it is.

    Raises:
        UserInputError: it is no raw dataset, has too few cases to hold one out, or another dataset is in the way.
    """
    whole = load_dataset(source)
    held = whole.cases[ONE_IN - 1 :: ONE_IN] or whole.cases[-1:]
    kept = [case for case in whole.cases if case not in held]
    if not kept:
        raise UserInputError(f"{source}: has a single case; a demo needs one to train on and one to hold out.")
    target = raw / whole.name
    if target.resolve() == Path(source).resolve():
        raise UserInputError(f"{source}: lies in the demo's own workspace; give --workspace another folder.")
    document = {key: value for key, value in whole.dataset_json.document.items() if key != "dataset"}
    document.update(numTraining=len(kept), held_out=[case.identifier for case in held])
    _require_unused(target, document)
    for case in kept:
        _bring(case, whole.file_ending, target)
    write_json(target / DATASET_FILE, document)
    everything = (slice(None), slice(None), slice(None))
    held_out = tuple(HeldOut(case.identifier, case.image_files, _label_file(case), everything) for case in held)
    return HeldOutData(target, held_out, f"{whole.name}: {len(kept)} cases to train on, {len(held)} held out.")


def _require_unused(target: Path, document: dict) -> None:
    """Nothing that somebody else put there is ever written over."""
    existing = target / DATASET_FILE
    if target.exists() and not (existing.is_file() and read_json(existing) == document):
        raise FileError(target, "is already there and holds other data", "give --workspace another folder")


def _bring(case: Case, ending: str, target: Path) -> None:
    for channel, file in enumerate(case.image_files):
        _link(file, target / "imagesTr" / f"{case.identifier}_{channel:04d}{ending}")
    _link(_label_file(case), target / "labelsTr" / f"{case.identifier}{ending}")
    for sidecar in _sidecars(case.image_files):
        _link(sidecar, target / "imagesTr" / f"{case.identifier}.json")


def _sidecars(files: Sequence[Path]) -> list[Path]:
    """The files CASE.json beside TIFF volumes, in which their spacing stands."""
    return [file for file in {f.parent / f"{f.name.split('_0000')[0]}.json" for f in files} if file.is_file()]


def _label_file(case: Case) -> Path:
    if case.label_file is None:
        raise UserInputError(f"{case.identifier}: has no label file; the demo trains on labelled cases.")
    return case.label_file


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise UserInputError(f"{source}: the file is missing; add it, or remove the case from the dataset.")
    if target.is_file() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
