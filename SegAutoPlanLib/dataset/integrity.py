"""Every problem of a raw dataset in one report."""

from __future__ import annotations

from functools import partial

from ..executors import Workers, run_cases
from ..progress import SILENT, Reporter
from .case_check import check_case
from .dataset import Dataset
from .dataset_check import check_dataset_json, check_files, check_together
from .report import IntegrityReport

BYTES_PER_VALUE = 10
"""Measured (6.5 for int16, 8.5 for float32): an image as read and compared, and its labels."""


def check_dataset(
    dataset: Dataset, workers: Workers | int | None = None, reporter: Reporter = SILENT
) -> IntegrityReport:
    """Read every file of the dataset and say all that is wrong, not the first thing only.

    Raises:
        StopRequested: between two cases, once a stop was asked for.
    """
    check = partial(check_case, dataset.without_cases())
    needed = BYTES_PER_VALUE * dataset.largest_case().values
    facts = list(
        run_cases(
            check,
            dataset.cases,
            stage="check",
            workers=workers,
            bytes_per_case=needed,
            reporter=reporter,
            ordered=True,
        )
    )
    problems = [
        *check_dataset_json(dataset),
        *check_files(dataset),
        *check_together(dataset, facts),
        *(problem for case in facts for problem in case.problems),
    ]
    problems.sort(key=lambda problem: (problem.severity, problem.case, problem.file))
    return IntegrityReport(dataset.name, len(dataset.cases), tuple(problems))
