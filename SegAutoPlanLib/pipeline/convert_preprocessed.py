"""`convert-preprocessed`: preprocessed cases, for nnU-Net to train on, or of nnU-Net's to train on here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dataset import Dataset, load_dataset
from ..dataset.splits import SPLITS_FILE, load_or_make_splits, read_splits
from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..files import write_json
from ..fingerprint import write_fingerprint
from ..locks import exclusive
from ..planning import Configuration, Plan, plan_path, read_plan, write_plan
from ..planning.presets import FULL_PLANS_NAME
from ..preprocessing import preprocess_dataset
from ..preprocessing.blosc2_file import blosc2_is_installed
from ..preprocessing.dataset_preprocessing import LOCK_FILE as PREPROCESSING_LOCK
from ..preprocessing.dataset_preprocessing import (
    cases_folder,
    chosen_configurations,
    copy_ground_truth,
    ground_truth_folder,
    nnunet_folder,
)
from ..preprocessing.nnunet_folder import Conversion, convert_from_nnunet, convert_to_nnunet
from ..preprocessing.stamp import what_shapes_cases
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .fingerprint import current_fingerprint, stored_fingerprint
from .option_rules import require_plans_name
from .plan import find_plan, stored_plan
from .workers_options import WorkersOptions

LOCK_FILE = ".converting.lock"


@dataclass(frozen=True)
class ConvertPreprocessedOptions(WorkersOptions):
    """Which cases, and which way."""

    dataset: str | Path
    """An id, a name, or the folder of a raw dataset."""
    to_nnunet: Path | None = None
    """A folder that is to be an `nnUNet_preprocessed`: what is preprocessed here is written below it."""
    from_nnunet: Path | None = None
    """An `nnUNet_preprocessed`: what is preprocessed there becomes this workspace's."""
    plans_name: str = FULL_PLANS_NAME
    configurations: Sequence[str] | None = None
    """None: those of 2d, 3d_fullres and 3d_lowres that the plan has and that are there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_plans_name(self.plans_name)
        if (self.to_nnunet is None) == (self.from_nnunet is None):
            raise UserInputError("--to-nnunet and --from-nnunet: say the way; give one of the two.")


@dataclass(frozen=True)
class ConvertedFolders:
    """Where the converted cases are."""

    folders: dict[str, Path]
    """By the name of the configuration."""


def convert_preprocessed(
    workspace: Workspace, options: ConvertPreprocessedOptions, reporter: Reporter = SILENT
) -> ConvertedFolders:
    """Convert the preprocessed cases of a dataset, with its plan, folds and label files.

    Raises:
        UserInputError: blosc2 is missing; the dataset, a plan or a case cannot be worked with; the disk is full.
        StopRequested: between two cases, once a stop was asked for; finished cases stay.
    """
    if not blosc2_is_installed():
        raise UserInputError("nnU-Net's preprocessed cases need blosc2, which is not installed: pip install blosc2")
    raw = load_dataset(workspace.raw_folder(options.dataset))
    nnunet = (options.to_nnunet or options.from_nnunet or Path()) / raw.name
    if options.to_nnunet is not None and nnunet.resolve() == (workspace.preprocessed / raw.name).resolve():
        raise FileError(
            nnunet,
            "is where this workspace keeps its own cases, beside which nnU-Net reads none",
            "name another folder, or another --workspace",
        )
    if options.to_nnunet is not None:
        return _to_nnunet(workspace, raw, nnunet, options, reporter)
    return _from_nnunet(workspace, raw, nnunet, options, reporter)


def _to_nnunet(
    workspace: Workspace, raw: Dataset, nnunet: Path, options: ConvertPreprocessedOptions, reporter: Reporter
) -> ConvertedFolders:
    ours = workspace.preprocessed / raw.name
    plan = find_plan(workspace, raw, options.plans_name, options.on_cases, reporter)
    fingerprint = current_fingerprint(workspace, raw, options.on_cases, reporter)
    workers = options.on_cases
    folders = preprocess_dataset(raw, plan, workspace.preprocessed, options.configurations, workers, reporter)
    with exclusive(nnunet / LOCK_FILE, f"{nnunet}: converting into this folder"):
        write_json(nnunet / DATASET_FILE, raw.dataset_json.document)
        write_plan(plan, plan_path(nnunet, plan.plans_name))
        write_fingerprint(fingerprint, nnunet / stored_fingerprint(workspace, raw).name)
        splits = load_or_make_splits(raw.folder, ours, [case.identifier for case in raw.cases], reporter)
        write_json(nnunet / SPLITS_FILE, splits)
        copy_ground_truth(raw, ground_truth_folder(nnunet), reporter)
        made = {}
        for name, source in folders.items():
            made[name] = nnunet_folder(nnunet, plan.configuration(name))
            convert_to_nnunet(Conversion(raw, plan, plan.configuration(name), source, made[name]), workers, reporter)
    return ConvertedFolders(made)


def _from_nnunet(
    workspace: Workspace, raw: Dataset, nnunet: Path, options: ConvertPreprocessedOptions, reporter: Reporter
) -> ConvertedFolders:
    ours = workspace.preprocessed / raw.name
    theirs = read_plan(plan_path(nnunet, options.plans_name))
    chosen = chosen_configurations(theirs, options.configurations)
    if options.configurations is None:
        chosen = tuple(one for one in chosen if nnunet_folder(nnunet, one).is_dir()) or chosen
    _take_plan(stored_plan(workspace, raw, options.plans_name), theirs, chosen)
    if (nnunet / SPLITS_FILE).is_file() and not (ours / SPLITS_FILE).exists():
        write_json(ours / SPLITS_FILE, read_splits(nnunet / SPLITS_FILE))
    write_json(ours / DATASET_FILE, raw.dataset_json.document)
    made = {}
    for configuration in chosen:
        target = made[configuration.name] = cases_folder(ours, configuration)
        with exclusive(target / PREPROCESSING_LOCK, f"{target}: preprocessing into this folder"):
            work = Conversion(raw, theirs, configuration, nnunet_folder(nnunet, configuration), target)
            convert_from_nnunet(work, options.on_cases, reporter)
    return ConvertedFolders(made)


def _take_plan(stored: Path, theirs: Plan, chosen: Sequence[Configuration]) -> None:
    """Their plan becomes ours, unless there is one by which cases look the same."""
    if not stored.is_file():
        write_plan(theirs, stored)
        return
    ours = read_plan(stored)
    for configuration in chosen:
        own = ours.configuration(configuration.name)
        if what_shapes_cases(ours, own) != what_shapes_cases(theirs, configuration):
            raise FileError(
                stored,
                f"makes other cases of {configuration.name} than nnU-Net's plan of that name",
                "move it away, or use another --workspace",
            )
