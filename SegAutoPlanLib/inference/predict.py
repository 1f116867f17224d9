"""A folder of images in, a folder of segmentations out."""

from __future__ import annotations

import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset import Case, find_cases
from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..files import atomic_path
from ..images import read_image, read_segmentation, write_segmentation
from ..images.checksums import require_undamaged
from ..models import PLANS_FILE, write_model_files
from ..planning import plan_to_json
from ..preprocessing import PreprocessedCase
from ..progress import SILENT, Reporter
from .model import TrainedModel
from .results_folder import ResultsFolder, results_folder
from .segment import WITHOUT_MIRRORING, Segmentation, Segmenter


@dataclass(frozen=True)
class SegmentCasesOptions:
    """What is wanted beside the segmentations themselves."""

    save_probabilities: bool = False
    previous_stage: Path | None = None
    """Folder of a cascade's first-stage segmentations."""
    skip_existing: bool = False
    """Whether results that are there, whole and readable, are kept."""
    overwrite: bool = False
    """Whether files in the output folder may be replaced that segmenting has not written."""
    part: tuple[int, int] = (1, 1)
    """(K, N): do the K-th of N parts, every N-th case."""


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
        UserInputError: no input, a channel missing, an unreadable file; or the output folder holds somebody's files.
        StopRequested: between two tiles; finished cases stay.
    """
    with results_folder(output, options.part, options.overwrite) as results:
        return _segment_cases(segmenter, inputs, results, options, reporter)


def _segment_cases(
    segmenter: Segmenter,
    inputs: Path | Sequence[Path],
    results: ResultsFolder,
    options: SegmentCasesOptions,
    reporter: Reporter,
) -> list[Path]:
    model = segmenter.model
    cases = cases_to_segment(inputs, model)[options.part[0] - 1 :: options.part[1]]
    for case in cases:
        _require_files(case)
    files = [file for case in cases for file in case.image_files]
    results.require_no_input(files, [name for case in cases for name in result_names(case.identifier, model, options)])
    if options.skip_existing:
        cases = tuple(case for case in cases if not _is_done(results.path, case.identifier, model, options))
    if segmenter.leaves_out_mirroring:
        reporter.event("mirroring", message=WITHOUT_MIRRORING)
    written = []
    prepared = _prepare_ahead(segmenter, cases, options)
    for case, image in zip(reporter.track(cases, "cases"), prepared, strict=True):
        result = segmenter.segment_preprocessed(image, options.save_probabilities, reporter)
        with results.writing(result_names(case.identifier, model, options)):
            written.append(write_result(result, results.path, case.identifier, model.file_ending, model.plan.image_io))
        if len(written) == 1:
            # Not before there is a result: what fails at once leaves nothing behind.
            with results.writing((PLANS_FILE, DATASET_FILE)):
                write_model_files(results.path, plan_to_json(model.plan), model.files.dataset_json.document)
    return written


def cases_to_segment(inputs: Path | Sequence[Path], model: TrainedModel) -> tuple[Case, ...]:
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


def result_names(name: str, model: TrainedModel, options: SegmentCasesOptions) -> tuple[str, ...]:
    """The files of a case's result, the segmentation last."""
    sidecar = (f"{name}.json",) if model.plan.image_io == "Tiff3DIO" else ()
    probabilities = (f"{name}.npz", f"{name}.pkl") if options.save_probabilities else ()
    return (*sidecar, *probabilities, f"{name}{model.file_ending}")


def write_result(result: Segmentation, folder: Path, name: str, ending: str, image_io: str) -> Path:
    """Write the segmentation and, if there are probabilities, the npz and pkl that nnU-Net's ensembling reads."""
    target = folder / f"{name}{ending}"
    if result.probabilities is not None:
        with atomic_path(folder / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, probabilities=result.probabilities)
        # nnU-Net's format. We never read a pickle.
        with atomic_path(folder / f"{name}.pkl") as temporary:
            temporary.write_bytes(pickle.dumps(result.geometry.to_nnunet()))
    write_segmentation(result.labels, target, result.geometry.header, image_io)
    return target


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


def _is_done(folder: Path, name: str, model: TrainedModel, options: SegmentCasesOptions) -> bool:
    """Whether all of a case's result is there, whole: each file is read to its end."""
    target = folder / f"{name}{model.file_ending}"
    try:
        read_segmentation(target, model.plan.image_io)
        require_undamaged(target)
    except FileError:
        return False
    return not options.save_probabilities or (
        _is_whole_npz(folder / f"{name}.npz") and _ends_with(folder / f"{name}.pkl", pickle.STOP)
    )


def _is_whole_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist() == ["probabilities.npy"] and archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        return False


def _ends_with(path: Path, end: bytes) -> bool:
    # Not unpickled, which could execute something: a pickle that was cut short lacks its last byte.
    try:
        return path.read_bytes()[-len(end) :] == end
    except OSError:
        return False
