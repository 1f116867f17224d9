"""A folder of images in, a folder of segmentations out."""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset import Case, find_cases
from ..dataset_json import DATASET_FILE
from ..errors import UserInputError
from ..files import atomic_path, write_json
from ..images import files_of_segmentation, read_image, read_segmentation, write_segmentation
from ..models import PLANS_FILE, ModelFolder
from ..progress import SILENT, Reporter
from .ensemble import Ensemble
from .expected_results import ExpectedResults
from .overlap import overlapped
from .results_folder import ResultsFolder
from .segment import WITHOUT_MIRRORING, Segmentation, Segmenter
from .stages import NetworkAnswer, PreparedCase

Inputs = Path | str | Sequence[Path | str] | Sequence[Sequence[Path | str]]
"""A folder of `CASE_0000.ending` files, the channel files of one case, or a list of such lists."""


@dataclass(frozen=True)
class SegmentCasesOptions:
    """What is wanted beside the segmentations themselves."""

    save_probabilities: bool = False
    previous_stage: Path | None = None
    """Folder of a cascade's first-stage segmentations."""
    skip_existing: bool = False
    """Keep what is there and complete."""
    overwrite: bool = False
    """Work in a folder of somebody else's files too, and replace them where names are the same."""
    part: tuple[int, int] = (1, 1)
    """(K, N): do the K-th of N parts, every N-th case."""


@dataclass(frozen=True)
class CasesToDo:
    """What is to be segmented, and where it goes."""

    cases: tuple[Case, ...]
    results: ResultsFolder
    options: SegmentCasesOptions
    documents: dict[str, Any]
    """The files of the model that results are accompanied by, as far as they are not there yet."""
    has_results: bool
    """Whether some are there already."""


def segment_cases(
    segmenter: Segmenter | Ensemble,
    inputs: Inputs,
    output: Path,
    options: SegmentCasesOptions = SegmentCasesOptions(),
    reporter: Reporter = SILENT,
) -> list[Path]:
    """Segment every case and return the files written.

    Args:
        inputs: a folder of `CASE_0000.ending` files, the channel files of one case in channel order, or several such.
        output: made if it is not there; gets `CASE.ending`, and dataset.json and plans.json for what comes after.

    Raises:
        UserInputError: no input, a channel missing, an unreadable file; or `output` cannot take the results.
        StopRequested: between two tiles; finished cases stay.
    """
    ensemble = segmenter if isinstance(segmenter, Ensemble) else Ensemble.alone(segmenter)
    with cases_to_do([member.model.files for member in ensemble.members], inputs, output, options) as todo:
        return segment_all(ensemble, todo, reporter)


@contextlib.contextmanager
def cases_to_do(
    models: Sequence[ModelFolder], inputs: Inputs, output: Path, options: SegmentCasesOptions
) -> Iterator[CasesToDo]:
    """Find the cases, see that the folder can take their results, and hold it within the block. Needs no weights.

    Args:
        models: the first one's files accompany the results.

    Raises:
        UserInputError: no input, a channel missing; somebody works in the folder, or results would replace what predict
            has not written.
    """
    model = models[0]
    number, count = options.part
    cases = cases_to_segment(inputs, model)
    results = ResultsFolder(Path(output), options.part)
    expected = ExpectedResults.of(cases[number - 1 :: count], model, results.path, options.save_probabilities)
    sources = [file for case in cases for file in case.image_files]
    if options.previous_stage is not None:
        sources += [options.previous_stage / f"{case.identifier}{model.file_ending}" for case in cases]
    sources += [one.path / name for one in models for name in (PLANS_FILE, DATASET_FILE)]
    results.require_apart_from(sources, expected.names)
    if not options.overwrite:
        results.require_own_files(
            expected.names, expected.is_damaged, expected.results if options.skip_existing else ()
        )
    with results.held():
        todo = expected.missing(results, options.overwrite) if options.skip_existing else expected.cases
        for case in todo:
            _require_files(case)
        yield CasesToDo(todo, results, options, expected.documents, len(todo) < len(expected.cases))


def segment_all(ensemble: Ensemble, todo: CasesToDo, reporter: Reporter = SILENT) -> list[Path]:
    """Segment the cases and return the files written. Reading, the network and writing overlap.

    Raises:
        UserInputError: an image cannot be read or used; the disk is full.
        StopRequested: between two tiles; finished cases stay.
    """
    if any(segmenter.leaves_out_mirroring for segmenter in ensemble.segmenters):
        reporter.event("mirroring", message=WITHOUT_MIRRORING)
    work = CaseWork(ensemble, todo.results.workplace, todo.options.save_probabilities, todo.options.previous_stage)
    taking = TakingResults(todo)
    results = overlapped(
        todo.cases,
        work.read,
        work.compute,
        lambda case, answers: taking.take(work.write(case, answers)),
        lambda case: case.identifier,
        reporter,
        ensemble.has_room,
    )
    with contextlib.closing(results):
        return list(reporter.track(results, "cases", total=len(todo.cases)))


@dataclass(frozen=True)
class CaseWork:
    """The steps of one case, from its files to its results in a folder."""

    ensemble: Ensemble
    folder: Path
    save_probabilities: bool = False
    previous_stage: Path | None = None

    def read(self, case: Case) -> list[PreparedCase]:
        """Read the case and preprocess it for the network."""
        model = self.ensemble.model
        previous = None
        if self.previous_stage is not None:
            self.ensemble.require_second_stage()
            file = self.previous_stage / f"{case.identifier}{model.file_ending}"
            previous = read_segmentation(file, model.plan.image_io).array
        return self.ensemble.prepare(read_image(case.image_files, model.plan.image_io), previous)

    def compute(self, prepared: list[PreparedCase], reporter: Reporter = SILENT) -> list[NetworkAnswer]:
        """Run the network."""
        return self.ensemble.logits(prepared, self.save_probabilities, reporter)

    def write(self, case: Case, answers: list[NetworkAnswer]) -> list[str]:
        """Write the results, the segmentation last, and return the names of their files."""
        model = self.ensemble.model
        result = self.ensemble.segmentation(answers, self.save_probabilities)
        files = write_result(result, self.folder, case.identifier, model.file_ending, model.plan.image_io)
        return [file.name for file in files]


class TakingResults:
    """Brings results from the workplace to their places; with the first of them the model's own files.

    Not before: what fails at once leaves nothing behind.
    """

    def __init__(self, todo: CasesToDo) -> None:
        self._todo = todo
        self._has_documents = False
        if todo.has_results:
            self._add_documents()

    def take(self, names: Sequence[str]) -> Path:
        """Take the files of one case; returns that of the segmentation, which is the last."""
        self._todo.results.take(names)
        if not self._has_documents:
            self._add_documents()
        return self._todo.results.path / names[-1]

    def _add_documents(self) -> None:
        for name, document in self._todo.documents.items():
            write_json(self._todo.results.workplace / name, document)
        self._todo.results.take(tuple(self._todo.documents))
        self._has_documents = True


def cases_to_segment(inputs: Inputs, model: ModelFolder) -> tuple[Case, ...]:
    """The cases of a folder by nnU-Net's names, or one case of given files, or several such.

    Raises:
        UserInputError: the folder is missing or holds no such file; two cases have the same name.
    """
    ending = model.file_ending
    if isinstance(inputs, (str, Path)):
        folder = Path(inputs)
        if folder.is_dir():
            return find_cases(folder, ending, len(model.channel_names))
        if not folder.is_file():
            raise UserInputError(f"{folder}: the input does not exist; check the path.")
        inputs = [folder]
    if not inputs:
        raise UserInputError("The input is empty; give a folder of images, or the channel files of a case.")
    if all(isinstance(entry, (str, Path)) for entry in inputs):
        return (_case_of(inputs, ending),)
    cases = tuple(_case_of([files] if isinstance(files, (str, Path)) else files, ending) for files in inputs)
    by_name: dict[str, Case] = {}
    for case in cases:
        other = by_name.setdefault(case.identifier, case)
        if other is not case:
            raise UserInputError(
                f"{case.image_files[0]} and {other.image_files[0]}: both would become {case.identifier}{ending}; "
                "rename one, or segment them into different folders."
            )
    return cases


def _case_of(files: Sequence[Path | str], ending: str) -> Case:
    if not files:
        raise UserInputError("A case of the input has no files; give one per channel, in the order of the channels.")
    first = Path(files[0]).name
    name = first.removesuffix(ending) if first.endswith(ending) else first.split(".")[0]
    return Case(re.sub(r"_\d{4}$", "", name), tuple(Path(file) for file in files))


def write_result(result: Segmentation, folder: Path, name: str, ending: str, image_io: str) -> list[Path]:
    """Write the segmentation and, if there are probabilities, the npz and pkl that nnU-Net's ensembling reads; the
    files, the segmentation last."""
    target = folder / f"{name}{ending}"
    written = []
    if result.probabilities is not None:
        with atomic_path(folder / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, probabilities=result.probabilities)
        # nnU-Net's format. We never read a pickle.
        with atomic_path(folder / f"{name}.pkl") as temporary:
            temporary.write_bytes(pickle.dumps(result.geometry.to_nnunet()))
        written = [folder / f"{name}.npz", folder / f"{name}.pkl"]
    write_segmentation(result.labels, target, result.geometry.header, image_io)
    return [*written, *files_of_segmentation(target, image_io)]


def _require_files(case: Case) -> None:
    for file in case.image_files:
        if not file.is_file():
            raise UserInputError(f"{file}: this channel of {case.identifier} is missing; add the file.")
