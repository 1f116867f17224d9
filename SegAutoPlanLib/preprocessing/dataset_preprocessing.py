"""From the raw cases to folders of preprocessed ones: every configuration in one pass over each case."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..dataset import Case, Dataset
from ..dataset_json import DATASET_FILE
from ..errors import UserInputError
from ..executors import Workers, run_cases
from ..files import atomic_path, remove_abandoned, write_json
from ..fingerprint.extraction import read_labelled_case, require_image
from ..locks import exclusive, waiting_for
from ..planning import Configuration, Plan, plan_path, write_plan
from ..planning.plan_gate import GROUND_TRUTH_FOLDER, folder_of_cases
from ..progress import SILENT, Reporter
from ..schema import problem_of
from .case import BYTES_PER_VALUE_MADE, crop_case, preprocess_cropped
from .stamp import stamp_of, what_shapes_cases
from .storage import case_path, preprocessed_identifiers, save_preprocessed, stored_stamps

BYTES_PER_VALUE_READ = 12
"""Measured: the image as read, its labels and masks."""
LOCK_FILE = ".preprocessing.lock"
BESIDE_NNUNET = "segautoplan"
NNUNET_ENDINGS = (".b2nd", ".npz")
DEFAULT_CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")


def preprocess_dataset(
    dataset: Dataset,
    plan: Plan,
    preprocessed_root: Path | str,
    configurations: Sequence[str] | None = None,
    workers: Workers | int | None = None,
    reporter: Reporter = SILENT,
    wait: bool = False,
) -> dict[str, Path]:
    """Preprocess all cases for the named configurations (default: those of 2d, 3d_fullres, 3d_lowres that the plan
    has) and return the folder of each.

    Cases that are there already, made from the same files by an equal plan, are kept, so an interrupted run
    continues; cases that left the dataset are removed.

    Args:
        wait: where somebody else preprocesses the same configuration, until that is done.

    Raises:
        UserInputError: an unknown configuration, a case that cannot be used, a full disk; or somebody else preprocesses
            the same configuration (and not `wait`).
        StopRequested: the reporter was asked to stop.
    """
    root = Path(preprocessed_root) / dataset.name
    work = _Work(dataset, plan, chosen_configurations(plan, configurations), root)
    folders = {configuration.name: work.folder(configuration) for configuration in work.configurations}
    write_json(root / DATASET_FILE, dataset.dataset_json.document)
    write_plan(plan, plan_path(root, plan.plans_name))
    # A training of another fold finds everything done: it waits for nobody then, and takes no lock.
    if not work.is_done():
        with _held(sorted(set(folders.values())), wait, reporter) as is_alone:
            for folder in set(folders.values()):
                remove_abandoned(folder, is_alone)
                _remove_cases_not_in_dataset(folder, dataset)
            todo = [case for case in dataset.cases if work.missing(case)]
            for _ in run_cases(
                work.for_one_case().preprocess,
                todo,
                stage="preprocess",
                workers=workers,
                bytes_per_case=work.bytes_per_case(),
                reporter=reporter,
            ):
                pass
    copy_ground_truth(dataset, ground_truth_folder(root), reporter)
    return folders


def cases_folder(preprocessed: Path, configuration: Configuration) -> Path:
    """Where our cases of a configuration are, below the dataset's folder of preprocessed data.

    Where nnU-Net has put its own (`nnUNet_preprocessed` is both programs'), ours go one folder further down: nnU-Net
    reads no folder that holds other files beside them.

    Raises:
        UserInputError: by its name it would be elsewhere.
    """
    folder = nnunet_folder(preprocessed, configuration)
    nnunets = (path for ending in NNUNET_ENDINGS for path in folder.glob(f"*{ending}"))
    return folder if next(nnunets, None) is None else folder / BESIDE_NNUNET


def nnunet_folder(preprocessed: Path, configuration: Configuration) -> Path:
    """Where nnU-Net has its cases of a configuration.

    Raises:
        UserInputError: by its name it would be elsewhere.
    """
    problem = problem_of(folder_of_cases, configuration.data_identifier)
    if problem is not None:
        raise UserInputError(f'{configuration.name}: its "data_identifier" {problem}; correct the plan.')
    return preprocessed / configuration.data_identifier


@contextlib.contextmanager
def _held(folders: Sequence[Path], wait: bool, reporter: Reporter) -> Iterator[bool]:
    """All in one order, so that two who want several cannot wait for each other."""
    is_alone = True
    with contextlib.ExitStack() as locks:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            lock, work = folder / LOCK_FILE, f"{folder}: preprocessing into this folder"
            is_alone &= locks.enter_context(waiting_for(lock, work, reporter) if wait else exclusive(lock, work))
        yield is_alone


def ground_truth_folder(preprocessed: Path) -> Path:
    """The label files as they were drawn, kept beside the preprocessed cases of a dataset for evaluation."""
    return preprocessed / GROUND_TRUTH_FOLDER


def chosen_configurations(plan: Plan, names: Sequence[str] | None) -> tuple[Configuration, ...]:
    """Those of these names; for None those of 2d, 3d_fullres, 3d_lowres that the plan has.

    Raises:
        UserInputError: one is not in the plan, or two would share a folder and differ.
    """
    if names is None:
        names = [name for name in DEFAULT_CONFIGURATIONS if name in plan.configurations]
    chosen = tuple(plan.configuration(name) for name in dict.fromkeys(names))
    if not chosen:
        there = ", ".join(plan.configurations)
        raise UserInputError(f"{plan.file}: no configuration is chosen; choose some of {there}.")
    by_folder: dict[str, Configuration] = {}
    for one in chosen:
        other = by_folder.setdefault(one.data_identifier.casefold(), one)
        if what_shapes_cases(plan, other) != what_shapes_cases(plan, one):
            raise UserInputError(
                f'{plan.file}: {other.name} and {one.name} differ and have the same "data_identifier" '
                f"{one.data_identifier}; give one of them another, or preprocess them one at a time."
            )
    return chosen


def _cases_not_in_dataset(folder: Path, dataset: Dataset) -> list[Path]:
    """Only files that this program wrote into the folder itself: nothing behind a link, and no others' safetensors."""
    if folder.is_symlink():
        return []
    others = set(preprocessed_identifiers(folder)) - {case.identifier for case in dataset.cases}
    paths = {case_path(folder, identifier): identifier for identifier in sorted(others)}
    return [path for path, identifier in paths.items() if not path.is_symlink() and stored_stamps(folder, identifier)]


def _remove_cases_not_in_dataset(folder: Path, dataset: Dataset) -> None:
    for path in _cases_not_in_dataset(folder, dataset):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Work:
    """What the work on every case has in common."""

    dataset: Dataset
    plan: Plan
    configurations: tuple[Configuration, ...]
    root: Path

    def folder(self, configuration: Configuration) -> Path:
        return cases_folder(self.root, configuration)

    def bytes_per_case(self) -> int:
        size = self.dataset.largest_case()
        made = max(size.values_at(configuration.spacing) for configuration in self.configurations)
        return BYTES_PER_VALUE_READ * size.values + BYTES_PER_VALUE_MADE * made

    def for_one_case(self) -> _Work:
        """What is sent with each case to another process."""
        return replace(self, dataset=self.dataset.without_cases(), root=self.root.absolute())

    def stamps(self, case: Case) -> dict[str, str]:
        """By configuration name."""
        return {c.name: stamp_of(case, self.dataset, self.plan, c) for c in self.configurations}

    def missing(self, case: Case) -> list[Configuration]:
        stamps = self.stamps(case)
        return [
            configuration
            for configuration in self.configurations
            if stamps[configuration.name] not in stored_stamps(self.folder(configuration), case.identifier)
        ]

    def is_done(self) -> bool:
        """Whether every case is there, and no other."""
        return not any(
            _cases_not_in_dataset(self.folder(configuration), self.dataset) for configuration in self.configurations
        ) and not any(map(self.missing, self.dataset.cases))

    def preprocess(self, case: Case) -> None:
        """Preprocess one case and store what is missing of it."""
        stamps, missing = self.stamps(case), self.missing(case)
        if not missing:
            # A cluster does a case again whose worker was lost after it had written, before it could say so.
            return
        image, segmentation = read_labelled_case(self.dataset, case)
        try:
            cropped = crop_case(image, segmentation, self.plan)
            del image, segmentation
            require_image(cropped.blank, case)
            for sharing, result in preprocess_cropped(cropped, self.plan, missing, self.dataset.label_scheme):
                folders = [self.folder(configuration) for configuration in sharing]
                save_preprocessed(folders, case.identifier, result, [stamps[c.name] for c in sharing])
        except UserInputError as error:
            raise UserInputError(f"{case.identifier}: {error}") from error


def copy_ground_truth(dataset: Dataset, folder: Path, reporter: Reporter) -> None:
    """Copy the label files, for evaluation, where they are newer than the copies."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _ground_truth_to_copy(dataset, folder):
        return
    # Whoever preprocesses another configuration copies the same files, and soon has done so.
    with _held([folder], True, reporter) as is_alone:
        remove_abandoned(folder, is_alone)
        for source, target in _ground_truth_to_copy(dataset, folder):
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)


def _ground_truth_to_copy(dataset: Dataset, folder: Path) -> list[tuple[Path, Path]]:
    pairs = [
        (case.label_file, folder / f"{case.identifier}{dataset.file_ending}")
        for case in dataset.cases
        if case.label_file is not None
    ]
    return [
        (source, target)
        for source, target in pairs
        if not target.is_file() or os.path.getmtime(target) < os.path.getmtime(source)
    ]
