"""How well segmentations agree with references: nnU-Net's summary.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path

import numpy as np

from ..dataset.label_check import require_known_labels
from ..errors import UserInputError
from ..executors import Workers, run_cases
from ..files import write_json
from ..images import read_segmentation
from ..images.geometry import require_same_grid, require_same_place
from ..images.image_size import largest_image
from ..labels import Label, LabelScheme
from ..progress import SILENT, Reporter
from .records import CaseEvaluation, Evaluation

BYTES_PER_VOXEL = 22
"""Measured (20.2): both label maps, and a 64-bit number for each voxel, made in two steps."""
LARGEST_TABLE = 1024
"""Labels for which a table of all their pairs is kept; it has their number squared."""


def evaluate_folder(
    references: Path,
    predictions: Path,
    label_scheme: LabelScheme,
    file_ending: str,
    image_io: str,
    summary: Path | None = None,
    ignore_missing: bool = False,
    reporter: Reporter = SILENT,
    workers: Workers | int | None = None,
    same_place: bool = True,
) -> Evaluation:
    """Compare every prediction with the reference of the same name and write `summary` if given.

    Args:
        same_place: see `evaluate_case`.

    Raises:
        UserInputError: no predictions, a missing counterpart, labels that are not known, or another grid.
        StopRequested: the reporter was asked to stop.
    """
    references, predictions = Path(references), Path(predictions)
    names = _names(predictions, file_ending)
    if not names:
        raise UserInputError(f"{predictions}: holds no {file_ending} file to evaluate; check the folder.")
    if not ignore_missing:
        wanted, there = _names(references, file_ending), set(names)
        if absent := [name for name in wanted if name not in there]:
            raise UserInputError(
                f"{predictions / absent[0]}: is missing ({len(absent)} of {len(wanted)} references have no "
                "prediction); predict them, or evaluate what is there with --ignore-missing."
            )
    metrics = run_cases(
        # A worker on another computer has another current folder.
        partial(_metrics_of_files, references.absolute(), predictions.absolute(), label_scheme, image_io, same_place),
        names,
        stage="evaluating",
        workers=workers,
        bytes_per_case=BYTES_PER_VOXEL * largest_image(predictions / name for name in names).values,
        reporter=reporter,
        ordered=True,
    )
    cases = [CaseEvaluation(predictions / n, references / n, m) for n, m in zip(names, metrics, strict=True)]
    evaluation = Evaluation(label_scheme, tuple(cases))
    if summary is not None:
        write_json(summary, evaluation.to_json(), sort_keys=True)
    return evaluation


def _names(folder: Path, ending: str) -> list[str]:
    # What begins with a dot are half-written files and what systems leave beside true ones.
    return sorted(file.name for file in folder.glob(f"*{ending}") if not file.name.startswith("."))


def _metrics_of_files(
    references: Path, predictions: Path, label_scheme: LabelScheme, image_io: str, same_place: bool, name: str
) -> dict[Label, dict[str, float]]:
    return evaluate_case(references / name, predictions / name, label_scheme, image_io, same_place).metrics


def evaluate_case(
    reference_file: Path, prediction_file: Path, label_scheme: LabelScheme, image_io: str, same_place: bool = True
) -> CaseEvaluation:
    """Compare two segmentation files.

    Args:
        same_place: whether origin and directions must agree too, and not only shape and spacing.

    Raises:
        UserInputError: a file is missing or unreadable, has labels that are not known, or their grids differ.
    """
    reference = read_segmentation(reference_file, image_io)
    require_known_labels(reference, reference_file, label_scheme)
    prediction = read_segmentation(prediction_file, image_io)
    require_known_labels(prediction, prediction_file, label_scheme)
    # A stack of pictures says nothing of its spacing where the file beside it is missing.
    is_unknown = reference.header.missing_sidecar or prediction.header.missing_sidecar
    compared = replace(prediction, header=reference.header) if is_unknown else prediction
    require_same_grid(compared, prediction_file, reference, reference_file)
    if same_place:
        require_same_place(compared, prediction_file, reference, reference_file)
    return CaseEvaluation(prediction_file, reference_file, agreement(reference.array, prediction.array, label_scheme))


def agreement(
    reference: np.ndarray, prediction: np.ndarray, label_scheme: LabelScheme
) -> dict[Label, dict[str, float]]:
    """Counts, Dice and IoU of each foreground label or region; voxels with the ignore label count nowhere."""
    if label_scheme.ignore_label is not None:
        counted = reference != label_scheme.ignore_label
        reference, prediction = reference[counted], prediction[counted]
    pairs = _pairs(reference, prediction)
    return {label: _metrics(pairs, _values(label)) for label in label_scheme.foreground}


def _pairs(reference: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The labels of the reference and of the prediction that meet, and in how many voxels."""
    size = int(max(reference.max(initial=0), prediction.max(initial=0))) + 1
    pairs = reference.astype(np.int64).ravel() * size + prediction.ravel()
    if size <= LARGEST_TABLE:
        # One pass over both arrays for all labels.
        table = np.bincount(pairs, minlength=size * size)
        met = np.flatnonzero(table)
        counts = table[met]
    else:
        met, counts = np.unique(pairs, return_counts=True)
    return met // size, met % size, counts


def _metrics(pairs: tuple[np.ndarray, np.ndarray, np.ndarray], values: Sequence[int]) -> dict[str, float]:
    reference, prediction, counts = pairs
    wanted, found = _is_one_of(reference, values), _is_one_of(prediction, values)
    true_positive = int(counts[wanted & found].sum())
    false_negative = int(counts[wanted & ~found].sum())
    false_positive = int(counts[~wanted & found].sum())
    true_negative = int(counts[~wanted & ~found].sum())
    union = true_positive + false_positive + false_negative
    return {
        "Dice": 2 * true_positive / (union + true_positive) if union else math.nan,
        "FN": false_negative,
        "FP": false_positive,
        "IoU": true_positive / union if union else math.nan,
        "TN": true_negative,
        "TP": true_positive,
        "n_pred": true_positive + false_positive,
        "n_ref": true_positive + false_negative,
    }


def _is_one_of(labels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    # Of few labels, for which numpy's isin takes ten times as long.
    return reduce(np.logical_or, [labels == value for value in values])


def _values(label: Label) -> tuple[int, ...]:
    return label if isinstance(label, tuple) else (label,)
