"""One process does one run after the other, at most one at a time, and never outlives who started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.runs import RunFolder, WarmWorker, WorkerSettings
from SegAutoPlanLib.runs.processes import Presence, ProcessIdentity

REPOSITORY = Path(__file__).resolve().parents[2]
WORKER = f"""
import os, sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from SegAutoPlanLib.runs import RunReporter
from SegAutoPlanLib.runs.server import Server

def work(arguments, reporter):
    print("working on", *arguments, flush=True)
    reporter.progress("tiles", 1, 4, "tile", time.monotonic())
    how = arguments[0]
    while how == "wait" and not os.path.exists(arguments[1]):
        if reporter.stop_requested():
            reporter.event("stopped", message="as asked")
            return 0
        time.sleep(0.005)
    if how == "deaf":
        time.sleep(60)
    if how == "fail":
        reporter.event("failed", message="x.nii.gz: the file is damaged.", hint="")
        return 2
    if how == "mistake":
        raise ZeroDivisionError
    reporter.event("finished", result={{"pid": os.getpid(), "kept": "--runs-folder" in sys.argv}})
    return 0

if "--run-folder" in sys.argv:
    with RunReporter(sys.argv[sys.argv.index("--run-folder") + 1], sys.argv) as reporter:
        reporter.close(work(sys.argv[3:], reporter))
elif "cannot stay" not in os.environ["WORKER_IS"]:
    idle_s = float(sys.argv[sys.argv.index("--idle-seconds") + 1])
    Server(sys.stdin, idle_s, lambda order, reporter: work(order.arguments, reporter)).serve()
else:
    sys.exit(3)
"""
STARTER = """
import sys, time
sys.path.insert(0, {repository!r})
from SegAutoPlanLib.runs import WarmWorker, WorkerSettings
worker = WarmWorker()
run = worker.start_run([{how!r}, "no gate"], "orphan", WorkerSettings({runs!r}, 60, {python!r}))
while run.state().status != {status!r}:
    worker.poll()
    time.sleep(0.01)
print(worker.pid, run.path, flush=True)
time.sleep(60)
"""


def wait_for(condition: Callable[[], object], timeout_s: float = 30) -> None:
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.005)


@pytest.fixture
def python(tmp_path) -> str:
    if sys.platform == "win32":
        pytest.skip("NOT TESTED: the stand-in for the engine's Python is a shell script")
    (tmp_path / "worker.py").write_text(WORKER)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path / "worker.py"}" "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def settings(tmp_path, python, monkeypatch) -> WorkerSettings:
    monkeypatch.setenv("WORKER_IS", "as it should be")
    return WorkerSettings(tmp_path / "runs ü", 60, python)


@pytest.fixture
def worker() -> Iterator[WarmWorker]:
    made = WarmWorker()
    yield made
    made.close()
    assert made.pid is None


@pytest.fixture
def start(worker, settings) -> Callable[..., RunFolder]:
    return lambda *arguments: worker.start_run(arguments, "test", settings)


@pytest.fixture
def finish(worker) -> Callable[[RunFolder], dict]:
    """Waits for a run's end and gives the result."""

    def wait(run: RunFolder) -> dict:
        wait_for(lambda: worker.poll() or run.state().over)
        worker.poll()
        assert run.state().status == "finished", (run.state(), run.log_tail())
        return run.state().result

    return wait


def is_gone(pid: int) -> bool:
    return ProcessIdentity.of(pid, "").presence() is not Presence.ALIVE and not Path(f"/proc/{pid}").exists()


def started(worker: WarmWorker, run: RunFolder) -> RunFolder:
    wait_for(lambda: worker.poll() or run.state().status == "running")
    return run


def test_the_second_run_is_done_by_the_same_process(worker, start, finish):
    first, second = finish(start("do")), finish(start("do"))
    assert first["pid"] == second["pid"] == worker.pid
    assert first["kept"]


def test_each_run_has_its_own_folder_log_and_end(start, finish):
    runs = [start("do", "one"), start("do", "two")]
    for run in runs:
        finish(run)
    for run, name in zip(runs, ("one", "two"), strict=True):
        assert [line for line in run.log_tail().splitlines() if "working on" in line] == [f"working on do {name}"]
        assert run.description().exit_code == 0
        assert run.description().arguments == ("do", name)


def test_two_runs_at_a_time_are_done_one_after_the_other(worker, start, finish, tmp_path):
    gate = tmp_path / "gate"
    first, second = start("wait", str(gate)), start("do")
    started(worker, first)
    for _ in range(20):
        worker.poll()
        assert second.state().status == "starting"
    gate.touch()
    assert finish(first)["pid"] == finish(second)["pid"]


def test_a_waiting_run_can_be_cancelled_and_the_one_in_work_goes_on(worker, start, finish, tmp_path):
    gate = tmp_path / "gate"
    first, second = start("wait", str(gate)), start("do")
    started(worker, first)
    second.request_stop()
    second.kill()  # as the second press of the button: it ends nobody
    worker.poll()
    assert second.state().status == "stopped"
    gate.touch()
    finish(first)


def test_a_cancel_reaches_the_run_in_work_and_the_process_stays(worker, start, finish):
    run = started(worker, start("wait", "no gate"))
    pid = worker.pid
    run.request_stop()
    wait_for(lambda: worker.poll() or run.state().over, 5)
    assert (run.state().status, run.state().message) == ("stopped", "as asked")
    assert finish(start("do"))["pid"] == pid


def test_a_cancel_in_the_midst_of_starting_ends_the_process(worker, start, monkeypatch):
    monkeypatch.setattr("SegAutoPlanLib.runs.warm_worker.START_PATIENCE_S", 0)
    run = start("wait", "no gate")
    run.request_stop()
    wait_for(lambda: worker.poll() or run.state().over)
    assert run.state().status == "stopped"
    wait_for(lambda: not worker.is_busy)


def test_a_refused_image_leaves_the_process_as_it_is(worker, start, finish):
    run = start("fail")
    wait_for(lambda: worker.poll() or run.state().over)
    assert run.state().message == "x.nii.gz: the file is damaged."
    pid = worker.pid
    assert finish(start("do"))["pid"] == pid


def test_after_a_mistake_of_ours_the_next_run_begins_in_a_new_process(worker, start, finish):
    run = start("mistake")
    pid = worker.pid
    wait_for(lambda: worker.poll() or not worker.is_busy)
    assert run.state().status == "failed"
    assert run.state().hint.startswith("This is a mistake of the program")
    wait_for(lambda: worker.pid is None)
    assert "ZeroDivisionError" in run.log_tail()
    following = start("do")
    assert finish(following)["pid"] != pid
    assert "The engine that was kept ready had ended (exit code 1); another one was started." in following.log_tail()


def test_a_killed_process_is_replaced_with_a_sentence_in_the_log(worker, start, finish):
    pid = finish(start("do"))["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: worker.pid is None)
    run = start("do")
    assert finish(run)["pid"] != pid
    assert "The engine that was kept ready had ended (exit code -9); another one was started." in run.log_tail()


def test_a_run_whose_process_dies_before_it_begins_is_given_to_another(worker, start, finish):
    pid = finish(start("do"))["pid"]
    os.kill(pid, signal.SIGSTOP)
    run = start("do")  # written into the pipe, and never read
    os.kill(pid, signal.SIGKILL)
    assert finish(run)["pid"] != pid
    assert "another one was started" in run.log_tail()


def test_a_run_whose_process_is_killed_is_lost_and_says_so(worker, start, finish):
    run = started(worker, start("deaf"))
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(lambda: worker.poll() or run.state().over)
    assert run.state().status == "lost"
    finish(start("do"))


def test_a_run_that_does_not_answer_can_be_ended(worker, start, finish):
    run = started(worker, start("deaf"))
    run.request_stop()
    run.kill()
    wait_for(lambda: worker.poll() or run.state().over)
    assert run.state().status == "stopped"
    finish(start("do"))


def test_ending_a_run_that_is_over_does_not_end_the_one_in_work(worker, start, finish):
    over = start("do")
    finish(over)
    run = started(worker, start("wait", "no gate"))
    over.kill()
    time.sleep(0.1)
    assert run.state().status == "running"


def test_a_run_folder_elsewhere_that_names_the_process_does_not_end_it(worker, start, finish, tmp_path):
    run = started(worker, start("wait", "no gate"))
    copy = tmp_path / "elsewhere" / run.name
    copy.mkdir(parents=True)
    content = {**json.loads((run.path / "run.json").read_text()), "run_folder": str(copy)}
    (copy / "run.json").write_text(json.dumps(content))
    with pytest.raises(UserInputError, match="was not started for this run"):
        RunFolder(copy).kill()
    assert run.state().status == "running"


def test_after_idle_time_the_process_goes_and_the_next_run_starts_another(worker, settings, finish):
    soon = WorkerSettings(settings.runs_folder, 0.3, settings.python)
    pid = finish(worker.start_run(["do"], "test", soon))["pid"]
    wait_for(lambda: worker.pid is None, 10)
    run = worker.start_run(["do"], "test", soon)
    assert finish(run)["pid"] != pid
    assert "another one was started" not in run.log_tail(), "nothing went wrong"


def test_on_request_the_process_goes(worker, start, finish):
    pid = finish(start("do"))["pid"]
    worker.release()
    assert worker.pid is None
    assert is_gone(pid)
    assert finish(start("do"))["pid"] != pid


def test_on_request_the_process_first_does_what_was_started(worker, start, tmp_path):
    gate = tmp_path / "gate"
    runs = [start("wait", str(gate)), start("do")]
    started(worker, runs[0])
    worker.release()
    assert worker.pid is not None
    gate.touch()
    wait_for(lambda: worker.poll() or not worker.is_busy)
    assert [run.state().status for run in runs] == ["finished", "finished"]
    assert worker.pid is None


def test_other_settings_take_another_process_and_the_former_one_has_gone_by_then(worker, settings, start, finish):
    pid = finish(start("do"))["pid"]
    other = WorkerSettings(settings.runs_folder, settings.idle_s, settings.python, {**os.environ, "MORE": "1"})
    run = worker.start_run(["do"], "test", other)
    assert is_gone(pid)
    assert finish(run)["pid"] != pid


def test_where_no_process_can_stay_each_run_has_its_own(worker, start, finish, monkeypatch):
    monkeypatch.setenv("WORKER_IS", "one that cannot stay")
    run = start("do")
    assert not finish(run)["kept"]
    assert "this run has a process of its own" in run.log_tail()


def test_a_python_that_cannot_be_started_is_a_sentence(worker, settings, tmp_path):
    with pytest.raises(UserInputError, match="no_such_python"):
        worker.start_run(["do"], "test", WorkerSettings(tmp_path, 60, str(tmp_path / "no_such_python")))
    assert not worker.is_busy


@pytest.mark.parametrize(("how", "status"), [("do", "finished"), ("wait", "running"), ("deaf", "running")])
def test_the_process_does_not_outlive_a_killed_starter(tmp_path, settings, how, status):
    script = STARTER.format(
        repository=str(REPOSITORY), how=how, runs=str(settings.runs_folder), python=settings.python, status=status
    )
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pid, _, folder = starter.stdout.readline().rstrip("\n").partition(" ")
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    wait_for(lambda: ProcessIdentity.of(int(pid), "").started == "", 10)
    state = RunFolder(folder).state()
    assert state.status == ("finished" if how == "do" else "stopped")
    if how != "do":
        assert state.message == "The program that asked for it was closed."
