"""`fingerprint`: what a dataset is like, measured and stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..dataset import Dataset, load_dataset
from ..executors import Workers
from ..fingerprint import Fingerprint, extract_fingerprint, read_fingerprint, write_fingerprint
from ..models import FINGERPRINT_FILE
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .workers_options import WorkersOptions


@dataclass(frozen=True)
class FingerprintOptions(WorkersOptions):
    """What to measure."""

    dataset: str | Path
    """An id, a name, or the folder of a raw dataset."""


def fingerprint(workspace: Workspace, options: FingerprintOptions, reporter: Reporter = SILENT) -> Fingerprint:
    """Measure a dataset's fingerprint and store it.

    Raises:
        UserInputError: there is no such dataset, or a case cannot be used.
        StopRequested: between two cases, once a stop was asked for.
    """
    return _measure(workspace, load_dataset(workspace.raw_folder(options.dataset)), options.on_cases, reporter)


def current_fingerprint(
    workspace: Workspace, raw: Dataset, workers: Workers | None, reporter: Reporter = SILENT
) -> Fingerprint:
    """The stored fingerprint; measured first where it is missing or older than the images."""
    stored = stored_fingerprint(workspace, raw)
    return read_fingerprint(stored) if _is_current(stored, raw) else _measure(workspace, raw, workers, reporter)


def stored_fingerprint(workspace: Workspace, raw: Dataset) -> Path:
    """Where a dataset's fingerprint is stored."""
    return workspace.preprocessed / raw.name / FINGERPRINT_FILE


def _measure(workspace: Workspace, raw: Dataset, workers: Workers | None, reporter: Reporter) -> Fingerprint:
    found = extract_fingerprint(raw, workers, reporter)
    write_fingerprint(found, stored_fingerprint(workspace, raw))
    return found


def _is_current(stored: Path, raw: Dataset) -> bool:
    if not stored.is_file() or len(read_fingerprint(stored).spacings) != len(raw.cases):
        return False
    files = [file for case in raw.cases for file in (*case.image_files, case.label_file) if file is not None]
    return all(file.stat().st_mtime <= stored.stat().st_mtime for file in files if file.is_file())
