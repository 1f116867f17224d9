"""Many independent cases at once: how many fit the machine, and running them with progress and cancel.

Threads, not processes: nearly all the time goes to decompression, numpy and matrix products, which let other
threads run; nothing has to be started, imported anew or copied between processes, and small datasets are done
before a process pool would have begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from .errors import StopRequested, UserInputError
from .machine import available_memory, core_count
from .progress import SILENT, Reporter

Item = TypeVar("Item")
Result = TypeVar("Result")

MEMORY_SHARE = 0.8
SECONDS_BETWEEN_LOOKS = 0.5


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
    reporter: Reporter = SILENT,
) -> Iterator[Result]:
    """Yield function(item) of each item as it finishes, in any order.

    What is running when the loop ends early, by an error or a stop, is finished; nothing new is begun.

    Raises:
        StopRequested: the reporter was asked to stop.
        UserInputError: the memory ran out.
    """
    results = map(function, items) if workers <= 1 else _in_threads(function, items, workers, stage, reporter)
    try:
        yield from reporter.track(results, stage, total=len(items))
    except MemoryError:
        raise UserInputError(
            f"The memory ran out during {stage} with {workers} workers; run it again with fewer (--workers), "
            "or on a machine with more memory."
        ) from None


def _in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, stage: str, reporter: Reporter
) -> Iterator[Result]:
    """Keeps no more cases in the air than there are workers, so that finished ones cannot pile up."""
    todo = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix=stage) as executor:

        def begin(count: int) -> set[Future[Result]]:
            return {executor.submit(function, item) for item in islice(todo, count)}

        running = begin(workers)
        while running:
            finished, running = wait(running, SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
            if reporter.stop_requested():
                raise StopRequested(f"{stage} was stopped.")
            running |= begin(len(finished))
            for future in finished:
                yield future.result()
