"""`ensemble`: the mean of probabilities that several models have left in folders."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..executors import run_cases
from ..images.image_size import largest_image
from ..labels import LabelScheme
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .workers_options import WorkersOptions


@dataclass(frozen=True)
class EnsembleOptions(WorkersOptions):
    """What to average."""

    input: Sequence[Path]
    """Folders that `predict --save-probabilities` has left, of the same cases."""
    output: Path
    save_probabilities: bool = False
    """The mean ones, as npz."""
    overwrite: bool = False
    """Work in a folder of somebody else's files too, and replace them where names are the same."""


@dataclass(frozen=True)
class Ensembled:
    """The segmentations that were written."""

    files: tuple[Path, ...]


def ensemble(_: Workspace, options: EnsembleOptions, reporter: Reporter = SILENT) -> Ensembled:
    """Average the probabilities of each case and write its segmentation.

    Raises:
        UserInputError: the folders are not of the same cases and labels, a file is damaged, the disk is full.
        StopRequested: between two cases; finished ones stay.
    """
    # Here, because what is sent to a cluster with each case comes from this file, and its scheduler needs no torch.
    from ..inference.expected_results import ExpectedResults
    from ..inference.folder_ensemble import BYTES_PER_VOXEL, FolderEnsemble
    from ..inference.predict import CasesToDo, SegmentCasesOptions, TakingResults
    from ..inference.results_folder import ResultsFolder

    given = FolderEnsemble.of([Path(folder).absolute() for folder in options.input])
    results = ResultsFolder(Path(options.output))
    expected = ExpectedResults.with_documents(
        given.cases, dict(given.documents), given.ending, given.image_io, results.path, options.save_probabilities
    )
    results.require_apart_from(given.sources, expected.names)
    if not options.overwrite:
        results.require_own_files(expected.names, expected.is_damaged)
    with results.held():
        todo = CasesToDo(expected.cases, results, SegmentCasesOptions(), expected.documents, has_results=False)
        taking = TakingResults(todo)
        task = functools.partial(
            average,
            given.folders,
            given.label_scheme,
            (given.ending, given.image_io),
            results.workplace.absolute(),
            options.save_probabilities,
        )
        averaged = run_cases(
            task,
            given.identifiers,
            stage="ensemble",
            workers=options.on_cases,
            bytes_per_case=BYTES_PER_VOXEL * largest_image([case.image_files[0] for case in given.cases]).values,
            reporter=reporter,
            ordered=True,
            finish_begun=True,
        )
        return Ensembled(tuple(taking.take(names) for names in averaged))


def average(
    folders: tuple[Path, ...],
    label_scheme: LabelScheme,
    file_type: tuple[str, str],
    output: Path,
    save_probabilities: bool,
    identifier: str,
) -> list[str]:
    """Average one case; see `average_case`.

    Args:
        file_type: ending of the segmentations, and nnU-Net's name of their reader.
    """
    from ..inference.folder_ensemble import FolderEnsemble, average_case

    given = FolderEnsemble(folders, (identifier,), label_scheme, *file_type, documents=())
    return average_case(given, output, save_probabilities, identifier)
