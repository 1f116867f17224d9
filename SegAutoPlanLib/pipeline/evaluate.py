"""`evaluate`: segmentations beside their references."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..dataset_json import DATASET_FILE, DatasetJson, read_dataset_json
from ..errors import FileError, UserInputError
from ..evaluation import Evaluation, evaluate_folder
from ..images.image_io import choose_image_io
from ..models import PLANS_FILE, SUMMARY_FILE, is_summary_file
from ..planning import read_plan
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .workers_options import WorkersOptions


@dataclass(frozen=True)
class EvaluateOptions(WorkersOptions):
    """What to compare."""

    references: Path
    """Folder of label files."""
    predictions: Path
    """Folder of segmentations of the same names."""
    dataset_json: Path | None = None
    """None: the one that `predict` has left beside the segmentations."""
    output: Path | None = None
    """Where the summary goes; None: summary.json beside the segmentations."""
    ignore_missing: bool = False
    """Whether references without a segmentation are fine."""


@dataclass(frozen=True)
class Evaluated:
    """How well the segmentations agree, and where that is written."""

    evaluation: Evaluation
    summary: Path


def evaluate(_: Workspace, options: EvaluateOptions, reporter: Reporter = SILENT) -> Evaluated:
    """Compare every segmentation with the reference of its name and write nnU-Net's summary.

    Raises:
        UserInputError: a folder or file is missing, two that belong together differ in their grid, or `output` is
            there and no summary.
        StopRequested: between two cases, once a stop was asked for.
    """
    for folder in (options.references, options.predictions):
        if not folder.is_dir():
            raise UserInputError(f"{folder}: the folder does not exist; check the path.")
    source = options.dataset_json or options.predictions / DATASET_FILE
    if not source.is_file():
        raise UserInputError(f"{source}: the file does not exist; name the dataset's with --dataset-json.")
    dataset_json = read_dataset_json(source)
    summary = options.output or options.predictions / SUMMARY_FILE
    if os.path.lexists(summary) and not is_summary_file(summary):
        raise FileError(
            summary, "is there and is no summary of an evaluation, so it is not replaced", "give --output another name"
        )
    evaluation = evaluate_folder(
        options.references,
        options.predictions,
        dataset_json.label_scheme,
        dataset_json.file_ending,
        _image_io(options, dataset_json),
        summary,
        options.ignore_missing,
        reporter,
        options.on_cases,
    )
    return Evaluated(evaluation, summary)


def _image_io(options: EvaluateOptions, dataset_json: DatasetJson) -> str:
    """The reader that the segmentations were written with, as the plan beside them says; else the dataset's."""
    plans = options.predictions / PLANS_FILE
    if plans.is_file():
        return read_plan(plans).image_io
    ending = dataset_json.file_ending
    example = next(iter(sorted(options.references.glob(f"*{ending}"))), None)
    return choose_image_io(ending, example, dataset_json.wanted_image_io).name
