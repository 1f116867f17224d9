"""The summary of an evaluation, nnU-Net's summary.json, told from other files."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserInputError
from ..files import read_json
from ..schema import anything, array_of, mapping_of, problem_of, record

SUMMARY = record({"metric_per_case": array_of(mapping_of(anything)), "mean": mapping_of(anything)})


def is_summary_file(path: Path) -> bool:
    """Whether a file is the summary of an evaluation, of ours or of nnU-Net."""
    try:
        return problem_of(SUMMARY, read_json(path)) is None
    except UserInputError:
        return False
