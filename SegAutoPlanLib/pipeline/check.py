"""`check`: every problem of a raw dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..dataset import IntegrityReport, check_dataset, load_dataset
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .workers_options import WorkersOptions


@dataclass(frozen=True)
class CheckOptions(WorkersOptions):
    """What to check."""

    dataset: str | Path
    """An id, a name, or the folder of a raw dataset."""


def check(workspace: Workspace, options: CheckOptions, reporter: Reporter = SILENT) -> IntegrityReport:
    """All that is wrong with a dataset, in one report.

    Raises:
        UserInputError: there is no such dataset, or its dataset.json cannot be read.
        StopRequested: between two cases, once a stop was asked for.
    """
    dataset = load_dataset(workspace.raw_folder(options.dataset))
    return check_dataset(dataset, options.on_cases, reporter)
