"""A folder of images in, a folder of segmentations out."""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from ..preprocessing import PreprocessedCase
from ..progress import SILENT, Reporter
from .expected_results import ExpectedResults
from .results_folder import ResultsFolder
from .segment import WITHOUT_MIRRORING, Segmentation, Segmenter


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
    segmenter: Segmenter,
    inputs: Path | Sequence[Path],
    output: Path,
    options: SegmentCasesOptions = SegmentCasesOptions(),
    reporter: Reporter = SILENT,
) -> list[Path]:
    """Segment every case and return the files written.

    Args:
        inputs: a folder of `CASE_0000.ending` files, or the channel files of one case in channel order.
        output: made if it is not there; gets `CASE.ending`, and dataset.json and plans.json for what comes after.

    Raises:
        UserInputError: no input, a channel missing, an unreadable file; or `output` cannot take the results.
        StopRequested: between two tiles; finished cases stay.
    """
    with cases_to_do(segmenter.model.files, inputs, output, options) as todo:
        return segment_all(segmenter, todo, reporter)


@contextlib.contextmanager
def cases_to_do(
    model: ModelFolder, inputs: Path | Sequence[Path], output: Path, options: SegmentCasesOptions
) -> Iterator[CasesToDo]:
    """Find the cases, see that the folder can take their results, and hold it within the block. Needs no weights.

    Raises:
        UserInputError: no input, a channel missing; somebody works in the folder, or results would replace what predict
            has not written.
    """
    number, count = options.part
    cases = cases_to_segment(inputs, model)
    results = ResultsFolder(Path(output), options.part)
    expected = ExpectedResults.of(cases[number - 1 :: count], model, results.path, options.save_probabilities)
    sources = [file for case in cases for file in case.image_files]
    if options.previous_stage is not None:
        sources += [options.previous_stage / f"{case.identifier}{model.file_ending}" for case in cases]
    sources += [model.path / PLANS_FILE, model.path / DATASET_FILE]
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


def segment_all(segmenter: Segmenter, todo: CasesToDo, reporter: Reporter = SILENT) -> list[Path]:
    """Segment the cases and return the files written.

    Raises:
        UserInputError: an image cannot be read or used; the disk is full.
        StopRequested: between two tiles; finished cases stay.
    """
    model, results = segmenter.model, todo.results
    if segmenter.leaves_out_mirroring:
        reporter.event("mirroring", message=WITHOUT_MIRRORING)
    # Not before there is a result: what fails at once leaves nothing behind.
    if todo.has_results:
        _add_documents(todo)
    written = []
    prepared = _prepare_ahead(segmenter, todo.cases, todo.options)
    for case, image in zip(reporter.track(todo.cases, "cases"), prepared, strict=True):
        result = segmenter.segment_preprocessed(image, todo.options.save_probabilities, reporter)
        files = write_result(result, results.workplace, case.identifier, model.file_ending, model.plan.image_io)
        results.take([file.name for file in files])
        written.append(results.path / files[-1].name)
        if len(written) == 1 and not todo.has_results:
            _add_documents(todo)
    return written


def _add_documents(todo: CasesToDo) -> None:
    for name, document in todo.documents.items():
        write_json(todo.results.workplace / name, document)
    todo.results.take(tuple(todo.documents))


def cases_to_segment(inputs: Path | Sequence[Path], model: ModelFolder) -> tuple[Case, ...]:
    """The cases of a folder by nnU-Net's names, or one case of given files.

    Raises:
        UserInputError: the folder is missing or holds no such file.
    """
    ending = model.file_ending
    if isinstance(inputs, (str, Path)):
        folder = Path(inputs)
        if folder.is_dir():
            return find_cases(folder, ending, len(model.channel_names))
        if not folder.is_file():
            raise UserInputError(f"{folder}: the input does not exist; check the path.")
        inputs = [folder]
    first = Path(inputs[0]).name
    name = first.removesuffix(ending) if first.endswith(ending) else first.split(".")[0]
    return (Case(re.sub(r"_\d{4}$", "", name), tuple(Path(file) for file in inputs)),)


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


def _prepare_ahead(
    segmenter: Segmenter, cases: Sequence[Case], options: SegmentCasesOptions
) -> Iterator[PreprocessedCase]:
    """Read and preprocess the next case while the network works on this one."""
    with ThreadPoolExecutor(1) as pool:
        following = None
        for position in range(len(cases)):
            current = following or pool.submit(_prepare, segmenter, cases[position], options)
            has_next = position + 1 < len(cases)
            following = pool.submit(_prepare, segmenter, cases[position + 1], options) if has_next else None
            yield current.result()


def _prepare(segmenter: Segmenter, case: Case, options: SegmentCasesOptions) -> PreprocessedCase:
    model = segmenter.model
    image = read_image(case.image_files, model.plan.image_io)
    previous = None
    if model.configuration.previous_stage:
        if options.previous_stage is None:
            raise UserInputError(
                f"{model.files.path.name} is a cascade's second stage and needs the first one's segmentations; "
                "give --previous-stage FOLDER."
            )
        file = options.previous_stage / f"{case.identifier}{model.file_ending}"
        previous = read_segmentation(file, model.plan.image_io).array
    return segmenter.preprocess(image, previous)


def _require_files(case: Case) -> None:
    for file in case.image_files:
        if not file.is_file():
            raise UserInputError(f"{file}: this channel of {case.identifier} is missing; add the file.")
