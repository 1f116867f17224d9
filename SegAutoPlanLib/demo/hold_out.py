"""Any raw dataset as a demo: one case in five is held out of training."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..dataset import Case, load_dataset
from ..errors import UserInputError
from ..files import write_json
from .icbm import DemoData, HeldOut

ONE_IN = 5


def hold_out_cases(source: Path, raw: Path) -> DemoData:
    """Make a raw dataset of four cases in five, by links where the system allows them.

    Raises:
        UserInputError: it is no raw dataset, or has too few cases to hold one out.
    """
    whole = load_dataset(source)
    held = whole.cases[ONE_IN - 1 :: ONE_IN] or whole.cases[-1:]
    kept = [case for case in whole.cases if case not in held]
    if not kept:
        raise UserInputError(f"{source}: has a single case; a demo needs one to train on and one to hold out.")
    target = raw / whole.name
    if target.resolve() == Path(source).resolve():
        raise UserInputError(f"{source}: lies in the demo's own workspace; give --workspace another folder.")
    shutil.rmtree(target, ignore_errors=True)
    for case in kept:
        _bring(case, whole.file_ending, target)
    dataset_json = {key: value for key, value in whole.dataset_json.items() if key != "dataset"}
    write_json(target / "dataset.json", {**dataset_json, "numTraining": len(kept)})
    everything = (slice(None), slice(None), slice(None))
    held_out = tuple(HeldOut(case.identifier, case.image_files, _label_file(case), everything) for case in held)
    return DemoData(target, held_out, f"{whole.name}: {len(kept)} cases to train on, {len(held)} held out.")


def _bring(case: Case, ending: str, target: Path) -> None:
    for channel, file in enumerate(case.image_files):
        _link(file, target / "imagesTr" / f"{case.identifier}_{channel:04d}{ending}")
    _link(_label_file(case), target / "labelsTr" / f"{case.identifier}{ending}")
    for sidecar in _sidecars(case.image_files):
        _link(sidecar, target / "imagesTr" / f"{case.identifier}.json")


def _sidecars(files: Sequence[Path]) -> list[Path]:
    """The spacing of TIFF volumes stands in CASE.json beside them."""
    return [file for file in {f.parent / f"{f.name.split('_0000')[0]}.json" for f in files} if file.is_file()]


def _label_file(case: Case) -> Path:
    if case.label_file is None:
        raise UserInputError(f"{case.identifier}: has no label file; the demo trains on labelled cases.")
    return case.label_file


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise UserInputError(f"{source}: the file is missing; add it, or remove the case from the dataset.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
