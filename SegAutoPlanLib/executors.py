"""Many independent cases at once: who works on them, how many fit the machine, and one loop that runs them.

By default threads, not processes: nearly all the time goes to decompression, numpy and matrix products, which let
other threads run; nothing has to be started, imported anew or copied between processes, and small datasets are done
before a process pool would have begun. Any other executor will do as well, that of a Dask cluster included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from .cluster import connected_cluster
from .errors import StopRequested, UserInputError
from .machine import available_memory, core_count
from .progress import SILENT, Reporter

Item = TypeVar("Item")
Result = TypeVar("Result")

MEMORY_SHARE = 0.8
SECONDS_BETWEEN_LOOKS = 0.5
WAITING_FOR_TURN = 4
"""In order, no case is begun that is further ahead of the oldest unfinished one than this times those in flight."""


@dataclass(frozen=True)
class Workers:
    """Who works on the cases: threads of this process, unless a cluster's scheduler or an executor is named."""

    count: int | None = None
    """At most so many cases at once; by default as many as there are cores and as the memory holds."""
    scheduler: str | None = None
    """Address of a Dask cluster's scheduler, e.g. `tcp://10.0.0.1:8786`."""
    executor: Executor | None = None
    """One's own, which stays open."""
    packages: tuple[str, ...] = ()
    """What a cluster's workers need besides, in the version that there is here."""


@dataclass(frozen=True)
class Pool:
    """An executor that is ready, and how much is given to it at a time."""

    executor: Executor
    in_flight: Callable[[], int]
    """How many tasks it should have now; a cluster grows and shrinks."""
    memory_remedy: str
    """What to do when its memory has run out."""
    abandons: bool = True
    """Whether a task that was cancelled may still be running."""


def worker_count(cases: int, bytes_per_case: int, requested: int | None = None) -> int:
    """As many workers as there are cores and cases, and as the free memory holds; at least one."""
    wanted = requested or core_count()
    memory = available_memory()
    affordable = wanted if memory is None else int(MEMORY_SHARE * memory // max(bytes_per_case, 1))
    return max(1, min(wanted, cases, affordable))


@contextmanager
def executor_for(workers: Workers, cases: int, bytes_per_case: int) -> Iterator[Pool]:
    """The executor that `workers` names; what is opened for it is closed behind the block.

    Raises:
        UserInputError: the cluster cannot be reached or used, or was lost within the block.
    """
    if workers.executor is not None:
        count = workers.count or 2 * core_count()
        yield Pool(workers.executor, lambda: count, "give it fewer workers, or a machine with more memory")
    elif workers.scheduler is not None:
        remedy = "start the cluster's workers with fewer threads or on machines with more memory, then run it again"
        with connected_cluster(workers.scheduler, workers.packages) as cluster:
            # One case waits behind each that is worked on, so that no thread waits for the way here and back.
            yield Pool(cluster.executor, lambda: workers.count or 2 * cluster.threads(), remedy)
    else:
        count = worker_count(cases, bytes_per_case, workers.count)
        remedy = f"run it again with fewer workers than {count} (--workers), or on a machine with more memory"
        with ThreadPoolExecutor(count, thread_name_prefix="case") as threads:
            yield Pool(threads, lambda: count, remedy, abandons=False)


def run_cases(
    task: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    stage: str,
    workers: Workers | int | None = None,
    bytes_per_case: int = 0,
    reporter: Reporter = SILENT,
    ordered: bool = False,
    finish_begun: bool = False,
) -> Iterator[Result]:
    """Yield task(item) of each item, with progress, as they finish or in the order of the items.

    When the loop ends early, by an error, a stop or its consumer, nothing new is begun and what waits is cancelled.
    Threads finish their case; a cluster's tasks in flight are abandoned, so a task must leave nothing half-written
    at any instant.

    Args:
        task: picklable (a function of a module, or a `functools.partial` of one) and small: it is sent with every
            item to another process.
        workers: a number stands for that many threads.
        bytes_per_case: what one task needs at most; it limits the number of threads.
        ordered: results wait for their turn. A few cases ahead of the slowest are begun, not all.
        finish_begun: wait for the tasks in flight before ending early, on a cluster too; for tasks that write where
            the caller cleans up.

    Raises:
        StopRequested: the reporter was asked to stop.
        UserInputError: the memory ran out, or the cluster cannot be used.
        Exception: the first one of a task; the first in the order of the items if `ordered`.
    """
    if not isinstance(workers, Workers):
        workers = Workers(workers)
    if not items:
        yield from reporter.track((), stage)
        return
    with executor_for(workers, len(items), bytes_per_case) as pool:
        results = _results(pool, task, items, stage, reporter, ordered, finish_begun)
        try:
            with closing(results):
                yield from reporter.track(results, stage, total=len(items))
        except MemoryError:
            raise UserInputError(f"The memory ran out during {stage}; {pool.memory_remedy}.") from None
        except BrokenExecutor as error:
            raise UserInputError(
                f"A worker process ended abruptly during {stage}, most often because the memory ran out; "
                f"{pool.memory_remedy}."
            ) from error


def _results(
    pool: Pool,
    task: Callable[[Item], Result],
    items: Sequence[Item],
    stage: str,
    reporter: Reporter,
    ordered: bool,
    finish_begun: bool,
) -> Iterator[Result]:
    """Keeps no more cases in flight than the pool asks for, so that finished ones cannot pile up."""
    todo = deque(enumerate(items))
    running: dict[Future[Result], int] = {}
    finished: dict[int, Future[Result]] = {}
    turn = 0

    def begin() -> None:
        if not todo:
            return
        limit = max(1, pool.in_flight())
        while todo and len(running) < limit and (not ordered or todo[0][0] < turn + WAITING_FOR_TURN * limit):
            position, item = todo.popleft()
            running[pool.executor.submit(task, item)] = position

    try:
        while todo or running:
            begin()
            done, _ = wait(running, SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
            if reporter.stop_requested():
                raise StopRequested(f"{stage} was stopped after {turn} of {len(items)} cases.")
            for future in sorted(done, key=running.__getitem__):
                finished[running.pop(future)] = future
                if future.exception() is not None:
                    todo.clear()
            # Before the results are used, so that nobody waits meanwhile.
            begin()
            while finished and (not ordered or turn in finished):
                yield finished.pop(turn if ordered else min(finished)).result()
                turn += 1
    finally:
        if finish_begun and pool.abandons:
            wait(running)
        for future in running:
            future.cancel()
