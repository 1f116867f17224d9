"""The summary of an evaluation, nnU-Net's summary.json: told from other files, and what is read of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..files import read_json
from ..schema import (
    Mismatch,
    anything,
    array_of,
    either,
    mapping_of,
    nothing,
    number,
    problem_of,
    record,
    require,
    shown,
)

SUMMARY = record({"metric_per_case": array_of(mapping_of(anything)), "mean": mapping_of(anything)})


def not_known(value: Any) -> None:
    """A rule: NaN, the mean of nothing."""
    if not isinstance(value, float) or not math.isnan(value):
        raise Mismatch(f"must be a number from 0 to 1, not {shown(value)}")


MEAN = record({"foreground_mean": record({"Dice": either(nothing, number(0, 1), not_known)})})
"""What is read of it."""


def mean_dice(document: Any, source: Path) -> float | None:
    """The mean foreground Dice that a summary states; None where it is not known.

    Raises:
        FileError: it is no summary; `source` is the file.
    """
    require(MEAN, document, source, "validate the fold again")
    dice = document["foreground_mean"]["Dice"]
    return None if dice is None or math.isnan(dice) else float(dice)


def is_summary_file(path: Path) -> bool:
    """Whether a file is the summary of an evaluation, of ours or of nnU-Net."""
    try:
        return problem_of(SUMMARY, read_json(path)) is None
    except UserInputError:
        return False
