"""Every problem of a raw dataset in one report."""

from __future__ import annotations

import concurrent.futures
import os

from ..progress import SILENT, Reporter
from .case_check import check_case
from .dataset import Dataset
from .report import IntegrityReport, Problem


def check_dataset(dataset: Dataset, workers: int | None = None, report: Reporter = SILENT) -> IntegrityReport:
    """Read every file of the dataset and say all that is wrong, not the first thing only.

    Threads are enough: decompression and arithmetic run outside Python's lock.

    Raises:
        StopRequested: between two cases, once a stop was asked for.
    """
    problems = check_description(dataset)
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        results = pool.map(lambda case: check_case(dataset, case), dataset.cases)
        for facts in report.track(results, "check", total=len(dataset.cases)):
            problems.extend(facts.problems)
    problems.sort(key=lambda problem: (problem.severity, problem.case, problem.file))
    return IntegrityReport(dataset.name, len(dataset.cases), tuple(problems))


def check_description(dataset: Dataset) -> list[Problem]:
    """What dataset.json says that the folder does not bear out."""
    if dataset.num_training == len(dataset.cases):
        return []
    return [
        Problem(
            "",
            "dataset.json",
            f'"numTraining" is {dataset.num_training}, but there are {len(dataset.cases)} cases',
            f'write "numTraining": {len(dataset.cases)} (the batch size depends on it)',
        )
    ]
