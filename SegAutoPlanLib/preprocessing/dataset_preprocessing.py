"""From the raw cases to folders of preprocessed ones: every configuration in one pass over each case."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..dataset import Case, Dataset, read_case
from ..errors import UserInputError
from ..files import atomic_path, write_json
from ..fingerprint.case_size import largest_case
from ..fingerprint.extraction import require_usable
from ..planning import Configuration, Plan, write_plan
from ..progress import SILENT, Reporter
from ..workers import run_cases, worker_count
from .case import PreprocessedCase, crop_case, preprocess_cropped
from .stamp import stamp_of
from .storage import (
    preprocessed_identifiers,
    remove_preprocessed,
    save_preprocessed,
    share_preprocessed,
    stored_stamp,
)

BYTES_PER_VALUE = 20
DEFAULT_CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")


def preprocess_dataset(
    dataset: Dataset,
    plan: Plan,
    preprocessed_root: Path | str,
    configurations: Sequence[str] | None = None,
    workers: int | None = None,
    report: Reporter = SILENT,
) -> dict[str, Path]:
    """Preprocess all cases for the named configurations (default: those of 2d, 3d_fullres, 3d_lowres that the plan
    has) and return the folder of each.

    Cases that are there already, made from the same files by an equal plan, are kept, so an interrupted run
    continues; cases that left the dataset are removed.

    Raises:
        UserInputError: an unknown configuration, a case that cannot be used, a full disk.
        StopRequested: the reporter was asked to stop.
    """
    chosen = _chosen(plan, configurations)
    root = Path(preprocessed_root) / dataset.name
    folders = {configuration.name: root / configuration.data_identifier for configuration in chosen}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
        _remove_strangers(folder, dataset)
    write_json(root / "dataset.json", dataset.description)
    write_plan(plan, root / f"{plan.plans_name}.json")
    todo = [case for case in dataset.cases if _missing(case, dataset, plan, chosen, root)]
    size = largest_case(dataset)
    count = worker_count(len(todo), BYTES_PER_VALUE * size.values, workers)
    work = partial(_preprocess_and_store, dataset=dataset, plan=plan, chosen=chosen, root=root)
    for _ in run_cases(work, todo, count, "preprocess", report):
        pass
    _copy_ground_truth(dataset, root / "gt_segmentations")
    return folders


def _chosen(plan: Plan, names: Sequence[str] | None) -> list[Configuration]:
    if names is None:
        names = [name for name in DEFAULT_CONFIGURATIONS if name in plan.configurations]
    unknown = [name for name in names if name not in plan.configurations]
    if unknown:
        raise UserInputError(
            f"The plan {plan.plans_name} has no configuration {', '.join(unknown)}; "
            f"it has {', '.join(plan.configurations)}."
        )
    return [plan.configurations[name] for name in names]


def _remove_strangers(folder: Path, dataset: Dataset) -> None:
    known = {case.identifier for case in dataset.cases}
    for identifier in preprocessed_identifiers(folder):
        if identifier not in known:
            remove_preprocessed(folder, identifier, whole=True)


def _missing(
    case: Case, dataset: Dataset, plan: Plan, chosen: Sequence[Configuration], root: Path
) -> list[Configuration]:
    return [
        configuration
        for configuration in chosen
        if stored_stamp(root / configuration.data_identifier, case.identifier)
        != stamp_of(case, dataset, plan, configuration)
    ]


def _preprocess_and_store(
    case: Case, dataset: Dataset, plan: Plan, chosen: Sequence[Configuration], root: Path
) -> None:
    missing = _missing(case, dataset, plan, chosen, root)
    image, segmentation = read_case(dataset, case)
    require_usable(image, segmentation, case)
    try:
        cropped = crop_case(image, segmentation, plan)
        del image, segmentation
        stored: dict[int, tuple[PreprocessedCase, Path]] = {}
        results = preprocess_cropped(cropped, plan, missing, dataset.labels)
        for configuration, result in zip(missing, results, strict=True):
            folder = root / configuration.data_identifier
            stamp = stamp_of(case, dataset, plan, configuration)
            if id(result) in stored:
                share_preprocessed(stored[id(result)][1], folder, case.identifier, result, stamp)
            else:
                save_preprocessed(folder, case.identifier, result, stamp)
                stored[id(result)] = (result, folder)
    except UserInputError as error:
        raise UserInputError(f"{case.identifier}: {error}") from error


def _copy_ground_truth(dataset: Dataset, folder: Path) -> None:
    """Copy the label files, for evaluation, where they are newer than the copies."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in dataset.cases:
        if case.label_file is None:
            continue
        target = folder / f"{case.identifier}{dataset.file_ending}"
        if target.is_file() and os.path.getmtime(target) >= os.path.getmtime(case.label_file):
            continue
        with atomic_path(target) as temporary:
            shutil.copyfile(case.label_file, temporary)
