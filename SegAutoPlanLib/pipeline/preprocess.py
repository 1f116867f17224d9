"""`preprocess`: every case as the network will be fed with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dataset import load_dataset
from ..planning.presets import FULL_PLANS_NAME
from ..preprocessing import preprocess_dataset
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .option_rules import require_plans_name
from .plan import find_plan
from .workers_options import WorkersOptions


@dataclass(frozen=True)
class PreprocessOptions(WorkersOptions):
    """What to preprocess, by which plan."""

    dataset: str | Path
    """An id, a name, or the folder of a raw dataset."""
    plans_name: str = FULL_PLANS_NAME
    configurations: Sequence[str] | None = None
    """None: those of 2d, 3d_fullres and 3d_lowres that the plan has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_plans_name(self.plans_name)


@dataclass(frozen=True)
class PreprocessedFolders:
    """Where the preprocessed cases are."""

    folders: dict[str, Path]
    """By the name of the configuration."""


def preprocess(workspace: Workspace, options: PreprocessOptions, reporter: Reporter = SILENT) -> PreprocessedFolders:
    """Preprocess what is not there yet; makes the plan first if there is none.

    Raises:
        UserInputError: the dataset, the plan or a case cannot be worked with; the disk is full.
        StopRequested: between two cases, once a stop was asked for; finished cases stay.
    """
    raw = load_dataset(workspace.raw_folder(options.dataset))
    found = find_plan(workspace, raw, options.plans_name, options.on_cases, reporter)
    folders = preprocess_dataset(raw, found, workspace.preprocessed, options.configurations, options.on_cases, reporter)
    return PreprocessedFolders(folders)
