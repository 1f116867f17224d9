"""A summary.json back as an evaluation, one of ours or of nnU-Net."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..files import read_json
from ..labels import MAX_LABEL, Label, LabelScheme
from ..schema import array_of, either, mapping_of, nothing, number, number_or_nan, record, require, text
from .records import METRICS, CaseEvaluation, Evaluation

KEY = text(r"\d{1,5}|\((\d{1,5}, ?)+\d{0,5}\)", 'a label ("1") or a region ("(1, 2)")')
VALUES = record({metric: either(nothing, number(0), number_or_nan) for metric in METRICS})
SUMMARY = record(
    {
        "mean": mapping_of(record({}), KEY, shortest=1, longest=MAX_LABEL),
        "metric_per_case": array_of(
            record({"metrics": mapping_of(VALUES, KEY), "prediction_file": text(), "reference_file": text()}),
            shortest=1,
        ),
    }
)
REMEDY = "evaluate the segmentations again"


def read_summary(path: Path, label_scheme: LabelScheme | None = None) -> Evaluation:
    """The evaluation that a summary.json states; its means are computed again from its cases.

    Args:
        label_scheme: whose labels it must be of; None: labels are called after their keys.

    Raises:
        UserInputError: the file is missing, no summary, or its cases are not of the same labels (or of other labels
            than the scheme's).
    """
    document = read_json(path)
    require(SUMMARY, document, path, REMEDY)
    scheme = label_scheme or _scheme_of(document)
    wanted = set(scheme.foreground)
    cases = []
    for entry in document["metric_per_case"]:
        metrics = {_label(key): _numbers(values) for key, values in entry["metrics"].items()}
        if set(metrics) != wanted:
            raise FileError(path, f"{Path(entry['prediction_file']).name} is not of the same labels", REMEDY)
        cases.append(
            CaseEvaluation(
                Path(entry["prediction_file"]),
                Path(entry["reference_file"]),
                {label: metrics[label] for label in scheme.foreground},
            )
        )
    return Evaluation(scheme, tuple(cases))


def _label(key: str) -> Label:
    values = tuple(int(number) for number in re.findall(r"\d+", key))
    return values if key.startswith("(") else values[0]


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {metric: math.nan if values[metric] is None else values[metric] for metric in METRICS}


def _scheme_of(document: dict[str, Any]) -> LabelScheme:
    labels = [_label(key) for key in document["mean"]]
    return LabelScheme((("background", 0), *((str(label), label) for label in labels)))
