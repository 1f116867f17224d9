"""Many independent cases at once: how many fit the machine, and running them with progress and cancel."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from .errors import UserInputError
from .machine import available_memory, core_count
from .progress import SILENT, Reporter

Item = TypeVar("Item")
Result = TypeVar("Result")

MEMORY_SHARE = 0.8
SECONDS_BETWEEN_LOOKS = 0.5
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
FILTER_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"


def worker_count(cases: int, bytes_per_case: int, requested: int | None = None) -> int:
    """As many workers as there are cores and cases, and as the free memory holds; at least one."""
    wanted = requested or core_count()
    memory = available_memory()
    affordable = wanted if memory is None else int(MEMORY_SHARE * memory // max(bytes_per_case, 1))
    return max(1, min(wanted, cases, affordable))


def run_cases(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    stage: str,
    report: Reporter = SILENT,
) -> Iterator[Result]:
    """Yield function(item) of each item as it finishes, in any order.

    With one worker everything happens in this process. Otherwise `function` and the items are pickled to fresh
    processes (no forks), each limited to its share of the cores. Whatever ends the loop early, an error or a
    stop, cancels what has not begun.

    Raises:
        StopRequested: the reporter was asked to stop.
        UserInputError: a worker was killed from outside.
    """
    results = map(function, items) if workers <= 1 else _in_processes(function, items, workers, report)
    yield from report.track(results, stage, total=len(items))


def _in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, report: Reporter
) -> Iterator[Result]:
    with _threads_for_each(workers):
        executor = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        try:
            waiting = {executor.submit(function, item) for item in items}
            while waiting:
                finished, waiting = wait(waiting, SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                if report.stop_requested():
                    # track() raises between two items; without one it could wait for a long case.
                    return
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise UserInputError(
                "A worker process was killed, most likely because the memory ran out; run it again with fewer workers."
            ) from None
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _threads_for_each(workers: int) -> Iterator[None]:
    """New processes read these variables when they load their libraries: threads times workers = cores."""
    share = str(max(1, core_count() // workers))
    names = (*THREAD_VARIABLES, FILTER_THREADS)
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, share))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
