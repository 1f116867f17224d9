"""Many independent cases through one function: order, bounds, progress, stop and errors, on any executor."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial

import pytest

from SegAutoPlanLib.errors import FileError, StopRequested, UserInputError
from SegAutoPlanLib.executors import WAITING_FOR_TURN, Workers, run_cases
from SegAutoPlanLib.progress import Reporter


class Patient(Reporter):
    """Keeps what is reported, and asks for a stop once `stop` is set."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.events: list[dict] = []

    def event(self, event, **fields):
        self.events.append({"event": event, **fields})

    def stop_requested(self):
        return self.stop.is_set()


class Gauge:
    """A task that counts how many of it run at once."""

    def __init__(self) -> None:
        self.lock, self.running, self.most, self.begun = threading.Lock(), 0, 0, []

    def __call__(self, number: int) -> int:
        with self.lock:
            self.begun.append(number)
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.01)
        with self.lock:
            self.running -= 1
        return number


def squared(number: int) -> int:
    return number * number


def fail(number: int) -> None:
    raise FileError(f"case_{number}", "is bad", "mend it")


def end_the_process(number: int) -> None:
    os._exit(3)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_results_come_as_they_finish_and_no_more_cases_are_begun_than_there_are_workers():
    gauge = Gauge()
    assert sorted(run_cases(gauge, range(12), workers=3, stage="counting")) == list(range(12))
    assert gauge.most == 3


def test_results_come_in_order_however_long_each_takes():
    waits = [0.2, 0.0, 0.1, 0.0, 0.0, 0.05]

    def work(number: int) -> int:
        time.sleep(waits[number])
        return number

    assert list(run_cases(work, range(6), workers=3, stage="x", ordered=True)) == list(range(6))
    assert next(run_cases(work, range(6), workers=3, stage="x")) != 0


def test_while_the_first_case_takes_long_only_a_few_others_are_begun():
    """Else all results would wait in memory for their turn."""
    gauge, go_on = Gauge(), threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert go_on.wait(20)
        return gauge(number)

    results = run_cases(work, range(100), workers=2, stage="x", ordered=True)
    threading.Timer(0.5, go_on.set).start()
    assert next(results) == 0
    # Those of the window, and what may have begun since it moved on by one.
    assert len(gauge.begun) <= 2 * WAITING_FOR_TURN + 2
    assert list(results) == list(range(1, 100))


def test_progress_counts_every_case_and_foresees_the_end():
    patient = Patient()
    list(run_cases(squared, range(4), workers=2, stage="squaring", reporter=patient))
    assert [event["done"] for event in patient.events] == [0, 1, 2, 3, 4]
    assert {(event["stage"], event["total"], event["unit"]) for event in patient.events} == {("squaring", 4, "case")}
    assert patient.events[0]["eta_s"] is None
    assert patient.events[-1]["eta_s"] == 0


def test_no_cases_are_no_work_and_open_nothing():
    patient = Patient()
    unreachable = Workers(scheduler="tcp://127.0.0.1:1")
    assert list(run_cases(squared, [], workers=unreachable, stage="nothing", reporter=patient)) == []
    assert [(event["done"], event["total"]) for event in patient.events] == [(0, 0)]


@pytest.mark.parametrize("ordered", [False, True])
def test_the_first_error_is_raised_and_the_rest_is_not_begun(ordered):
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        raise KeyError(number)

    with pytest.raises(KeyError):
        list(run_cases(work, range(100), workers=2, stage="failing", ordered=ordered))
    assert len(begun) <= 6


def test_in_order_the_first_error_is_that_of_the_first_item_whichever_came_sooner():
    def work(number: int) -> None:
        time.sleep(0.2 if number == 0 else 0)
        raise KeyError(number)

    with pytest.raises(KeyError, match="0"):
        list(run_cases(work, range(9), workers=3, stage="failing", ordered=True))


def test_a_stop_is_obeyed_while_a_case_still_runs_and_nothing_new_is_begun():
    patient, gauge = Patient(), Gauge()

    def work(number: int) -> int:
        if number == 3:
            patient.stop.set()
            time.sleep(1)
        return gauge(number)

    with pytest.raises(StopRequested):
        list(run_cases(work, range(100), workers=2, stage="x", reporter=patient))
    assert max(gauge.begun) <= 8


def test_a_consumer_that_leaves_early_ends_the_work():
    gauge = Gauge()
    results = run_cases(gauge, range(100), workers=2, stage="x")
    next(results)
    results.close()
    begun = len(gauge.begun)
    time.sleep(0.1)
    assert len(gauge.begun) == begun <= 6


def test_memory_that_runs_out_is_a_sentence():
    def work(number: int) -> None:
        raise MemoryError

    with pytest.raises(UserInputError, match=r"memory ran out during x; run it again with fewer workers than 2"):
        list(run_cases(work, range(4), workers=2, stage="x"))


def test_processes_give_the_same_in_order(processes):
    """A FileError crosses the border in all its parts, and the executor stays open."""
    workers = Workers(count=2, executor=processes)
    assert list(run_cases(squared, range(9), workers=workers, stage="x", ordered=True)) == [n * n for n in range(9)]
    with pytest.raises(FileError) as raised:
        list(run_cases(fail, [7], workers=workers, stage="x"))
    assert (str(raised.value.file), raised.value.problem, raised.value.remedy) == ("case_7", "is bad", "mend it")
    assert list(run_cases(partial(pow, 2), [3], workers=workers, stage="x")) == [8]


def test_a_process_that_ends_abruptly_is_a_sentence():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        work = run_cases(end_the_process, range(3), workers=Workers(executor=executor), stage="x")
        with pytest.raises(UserInputError, match="worker process ended abruptly during x"):
            list(work)


class NeverDone(Executor):
    """Takes tasks and does not begin them, like a cluster whose workers are away."""

    def __init__(self) -> None:
        self.given: list[Future] = []

    def submit(self, task, /, *arguments, **named):
        self.given.append(Future())
        return self.given[-1]


def test_a_stop_cancels_what_waits_in_an_executor_of_another():
    patient, executor = Patient(), NeverDone()
    threading.Timer(0.2, patient.stop.set).start()
    began = time.monotonic()
    with pytest.raises(StopRequested):
        list(run_cases(squared, range(50), workers=Workers(4, executor=executor), stage="x", reporter=patient))
    assert time.monotonic() - began < 5
    assert len(executor.given) == 4
    assert all(future.cancelled() for future in executor.given)
