"""Every problem of a raw dataset in one report."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from ..progress import SILENT, Reporter
from .case_check import check_case
from .dataset import Dataset
from .dataset_check import check_dataset_json, check_files, check_together
from .report import IntegrityReport

MAX_WORKERS = 8
"""More threads than this hold more images in memory than they save time."""


def check_dataset(dataset: Dataset, workers: int | None = None, reporter: Reporter = SILENT) -> IntegrityReport:
    """Read every file of the dataset and say all that is wrong, not the first thing only.

    Threads are enough: decompression and arithmetic run outside Python's lock.

    Raises:
        StopRequested: between two cases, once a stop was asked for.
    """
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, MAX_WORKERS))
    try:
        results = pool.map(lambda case: check_case(dataset, case), dataset.cases)
        facts = list(reporter.track(results, "check", total=len(dataset.cases)))
    finally:
        pool.shutdown(cancel_futures=True)
    problems = [
        *check_dataset_json(dataset),
        *check_files(dataset),
        *check_together(dataset, facts),
        *(problem for case in facts for problem in case.problems),
    ]
    problems.sort(key=lambda problem: (problem.severity, problem.case, problem.file))
    return IntegrityReport(dataset.name, len(dataset.cases), tuple(problems))
