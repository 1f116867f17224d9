"""`import`: what other programs left becomes a raw dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError
from ..importing import ImportedDataset, import_decathlon, import_nnunet_v1, import_pairs
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .workers_options import WorkersOptions

TASK_IMPORTERS = {"decathlon": import_decathlon, "nnunet-v1": import_nnunet_v1}
"""Those that need to know nothing but the folder: it is numbered and named already."""
PAIRS = "pairs"
KINDS = (*TASK_IMPORTERS, PAIRS)


@dataclass(frozen=True)
class ImportOptions(WorkersOptions):
    """What to import, and what it is to be called."""

    kind: str
    """One of `KINDS`."""
    source: Path
    """The folder; it is only read."""
    dataset_id: int | None = None
    """Number of the new dataset; None: the task's."""
    name: str | None = None
    """For pairs: name of the new dataset."""
    channels: Sequence[str] | None = None
    """For pairs: channel names, by which intensities are normalised."""
    segments: Sequence[str] | None = None
    """For pairs: only these, in this order."""
    regions: bool = False
    """For pairs: whether segments that overlap become regions (else they are refused)."""


def import_dataset(workspace: Workspace, options: ImportOptions, reporter: Reporter = SILENT) -> ImportedDataset:
    """Make a raw dataset in the workspace; it appears whole or not at all.

    Raises:
        UserInputError: the source is not of that kind or cannot be used, or the number is taken.
        StopRequested: between two cases, once a stop was asked for.
    """
    workers = options.on_cases
    if options.kind in TASK_IMPORTERS:
        return TASK_IMPORTERS[options.kind](options.source, workspace.raw, options.dataset_id, reporter, workers)
    if options.kind != PAIRS:
        raise UserInputError(f"import {options.kind}: there is no such kind; choose one of {', '.join(KINDS)}.")
    if options.dataset_id is None or options.name is None:
        raise UserInputError("import pairs: give the new dataset a number and a name, e.g. --id 7 --name Liver")
    return import_pairs(
        options.source,
        workspace.raw,
        options.dataset_id,
        options.name,
        options.channels,
        options.segments,
        overlap="regions" if options.regions else "refuse",
        reporter=reporter,
        workers=workers,
    )
