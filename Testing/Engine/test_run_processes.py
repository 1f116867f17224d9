"""Only a process that is proven to be a run's is ended, and only one that is proven to be gone is called so."""

from __future__ import annotations

import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.runs import RunFolder, RunReporter, start_run
from SegAutoPlanLib.runs import processes as processes_module
from SegAutoPlanLib.runs.processes import Presence, ProcessIdentity
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, ball_workspace

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENT_WORKER = """
import sys, time
sys.path.insert(0, {repository!r})
from SegAutoPlanLib.stop_signals import hearing_stop_signals
from SegAutoPlanLib.runs import RunFolder, RunReporter
folder = sys.argv[sys.argv.index("--run-folder") + 1]
with hearing_stop_signals(RunFolder(folder).request_stop), RunReporter(folder, sys.argv) as reporter:
    until = time.monotonic() + {seconds}
    while time.monotonic() < until and not ({hears} and reporter.stop_requested()):
        time.sleep(0.005)
    reporter.event("stopped" if reporter.stop_requested() else "finished", message="")
"""


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen]:
    """A process that has nothing to do with us, in a group with a child of its own."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=sys.platform != "win32")
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def stand_in(tmp_path) -> Iterator:
    """Starts runs whose worker only waits, and ends what is left of them."""
    if sys.platform == "win32":
        pytest.skip("NOT TESTED: the stand-in for the engine's Python is a shell script")
    runs = []

    def start(seconds: float = 60, hears: bool = True) -> RunFolder:
        script = tmp_path / f"worker_{len(runs)}.py"
        script.write_text(PATIENT_WORKER.format(repository=str(REPOSITORY), seconds=seconds, hears=hears))
        python = tmp_path / f"python_{len(runs)}"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        python.chmod(0o755)
        runs.append(start_run(["wait"], tmp_path / "runs", "waits here", python=str(python)))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()


def wait_for(condition, timeout_s: float = 60):
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.01)


def forged(tmp_path: Path, **content) -> RunFolder:
    folder = tmp_path / "2026-01-01_00-00-00_forged"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"run_folder": str(folder), **content}))
    (folder / "progress.jsonl").write_text('{"event": "started"}\n')
    return RunFolder(folder)


def make_silent(run: RunFolder) -> None:
    then = time.time() - 3600
    for file in run.path.iterdir():
        os.utime(file, (then, then))


def test_a_run_of_another_computer_ends_no_process_here(tmp_path, innocent):
    there = ProcessIdentity.of(innocent.pid, "").to_json()
    run = forged(tmp_path, **{**there, "host": "another-computer", "run_folder": str(tmp_path)})
    with pytest.raises(UserInputError, match="another computer"):
        run.kill()
    assert innocent.poll() is None


@pytest.mark.parametrize("started", ["", "long ago", None], ids=["unknown", "other", "not recorded"])
def test_a_number_that_another_process_has_by_now_ends_nothing(tmp_path, innocent, started):
    run = forged(tmp_path, pid=innocent.pid, host=platform.node(), process_started=started)
    with pytest.raises(UserInputError, match=f"process {innocent.pid}"):
        run.kill()
    assert innocent.poll() is None


def test_a_process_that_was_not_started_for_the_run_is_not_ended_even_if_all_else_is_true(tmp_path, innocent):
    folder = tmp_path / "2026-01-01_00-00-00_forged"
    true = ProcessIdentity.of(innocent.pid, str(folder)).to_json()
    assert true["process_started"]
    run = forged(tmp_path, **true)
    if sys.platform == "win32":
        pytest.skip("NOT TESTED: on Windows the program's file stands for its command line")
    with pytest.raises(UserInputError, match="was not started for this run"):
        run.kill()
    assert innocent.poll() is None


def test_a_forged_launcher_ends_nothing_either(tmp_path, innocent):
    run = forged(tmp_path)
    (run.path / "launcher.json").write_text(json.dumps({"pid": innocent.pid, "host": platform.node()}))
    with pytest.raises(UserInputError):
        run.kill()
    assert innocent.poll() is None


def test_a_copy_of_a_run_does_not_end_the_original(tmp_path, stand_in):
    run = stand_in()
    wait_for(lambda: run.state().status == "running")
    copy = tmp_path / "copies" / run.name
    copy.mkdir(parents=True)
    for name in ("run.json", "launcher.json", "progress.jsonl"):
        (copy / name).write_bytes((run.path / name).read_bytes())
    with pytest.raises(UserInputError, match="was not started for this run"):
        RunFolder(copy).kill()
    assert run.state().status == "running"


def test_the_runs_own_process_is_ended(stand_in):
    run = stand_in(hears=False)
    wait_for(lambda: run.state().status == "running")
    run.kill()
    wait_for(lambda: run.state().status == "lost")
    run.kill()  # nothing is left, and nothing is said


def test_ending_a_worker_that_a_script_started_leaves_the_script(tmp_path):
    if sys.platform == "win32":
        pytest.skip("NOT TESTED: Windows knows no process groups of this kind")
    folder = tmp_path / "by_hand"
    worker = tmp_path / "worker.py"
    worker.write_text(PATIENT_WORKER.format(repository=str(REPOSITORY), seconds=60, hears=False))
    starter = (
        f"import subprocess; subprocess.run([{sys.executable!r}, {str(worker)!r}, '--run-folder', {str(folder)!r}])"
    )
    script = subprocess.Popen(
        [sys.executable, "-c", f"{starter}; print('went on')"],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    run = RunFolder(folder)
    wait_for(lambda: run.state().status == "running")
    run.kill()
    assert script.communicate(timeout=30)[0].endswith("went on\n")


def test_a_living_process_is_not_lost_however_long_it_is_silent(stand_in):
    """As after a laptop has slept."""
    run = stand_in()
    wait_for(lambda: run.state().status == "running")
    make_silent(run)
    assert run.state().status == "running"


def test_on_another_computer_only_the_heartbeat_tells(tmp_path):
    run = forged(tmp_path, pid=os.getpid(), host="another-computer", process_started="then")
    assert run.state().status == "running"
    make_silent(run)
    assert run.state().status == "lost"
    run.request_stop()
    assert run.state().status == "lost"  # nobody knows that it ended


def test_a_number_that_was_given_again_does_not_keep_a_run_alive(tmp_path):
    run = forged(tmp_path, pid=os.getpid(), host=platform.node(), process_started="long ago")
    assert run.state().status == "lost"


def test_this_process_is_alive_and_an_ended_one_is_gone():
    assert ProcessIdentity.of(os.getpid(), "").presence() is Presence.ALIVE
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(child.pid, "")
    assert identity.presence() is Presence.ALIVE
    child.stdin.close()
    wait_for(lambda: identity.presence() is Presence.GONE, 30)  # also while nobody has taken note of its end
    child.wait()
    assert identity.presence() is Presence.GONE


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: it has no ps")
def test_where_there_is_no_proc_ps_tells_the_same():
    seen = processes_module._look_with_ps(os.getpid())
    assert seen.started == processes_module._look_with_ps(os.getpid()).started != ""
    assert "pytest" in seen.command
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait_for(lambda: processes_module._look_with_ps(child.pid) is None, 30)


def test_a_cancelled_run_reads_as_stopped_whenever_it_was_cancelled(stand_in):
    moments = random.Random(7)
    ends = []
    for number in range(30):
        run = stand_in(seconds=0.5, hears=number % 2 == 0)
        time.sleep(moments.uniform(0, 0.8))
        watcher = run.watch()
        status = watcher.poll().status
        run.request_stop()
        if number % 3 == 0 or status == "starting":
            run.kill()
        while not (state := watcher.poll()).over:
            time.sleep(0.001)
        ends.append(state.status)
    print({status: ends.count(status) for status in sorted(set(ends))})
    assert set(ends) <= {"stopped", "finished"}
    assert ends.count("stopped") > 10


def test_a_run_begins_in_its_folder_and_works_where_it_was_asked(tmp_path, monkeypatch):
    """A file beside the user's data is not taken for one of Python's modules; relative paths mean what they say."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    run = start_run(["evaluate", "no_references", "no_predictions"], "runs", "relative")
    state = run.wait(60)
    assert run.path.parent == tmp_path / "runs"
    assert state.status == "failed", run.log_tail()
    assert "no_" in state.message
    assert run.description().asked_in == str(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: a folder that is in use cannot be deleted")
def test_a_run_can_be_started_from_a_folder_that_is_gone(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = (
        f"import os, sys; sys.path.insert(0, {str(REPOSITORY)!r}); from SegAutoPlanLib.runs import start_run;"
        f"os.rmdir({str(gone)!r}); print(start_run(['runs'], {str(tmp_path / 'runs')!r}, 'x').wait(60).status)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=gone, capture_output=True, text=True, check=False)
    assert done.stdout == "finished\n", done.stderr


def test_a_start_that_failed_reads_as_failed(tmp_path):
    with pytest.raises(UserInputError, match="no_such_python"):
        start_run(["runs"], tmp_path, "x", python=str(tmp_path / "no_such_python"))
    [folder] = tmp_path.iterdir()
    assert RunFolder(folder).state().status == "failed"
    assert "no_such_python" in RunFolder(folder).state().message


def test_an_end_at_once_reads_as_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunReporter(tmp_path, ["x"]):
        raise KeyboardInterrupt
    assert RunFolder(tmp_path).state().status == "stopped"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return ball_workspace(tmp_path_factory.mktemp("signals"))


def training(workspace: Workspace, fold: int) -> list[str]:
    where = ["--workspace", str(workspace.runs.parent), "--device", "cpu", "--recipe", "short"]
    return ["train", NAME, "3d_fullres", str(fold), *where, "--epochs", "400", "--iterations", "5"]


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: os.kill ends a process there at once")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_to_a_training_keeps_what_it_learned(workspace, number):
    fold = 0 if number == signal.SIGTERM else 1
    run = start_run(training(workspace, fold), workspace.runs, "signalled")
    wait_for(lambda: run.state().epochs, 120)
    os.kill(run.description().worker.pid, number)
    state = run.wait(60)
    assert state.status == "stopped", run.log_tail()
    assert "resume" in state.message
    [latest] = workspace.results.rglob(f"fold_{fold}/checkpoint_latest.pth")
    written = latest.stat().st_mtime_ns
    resumed = start_run([*training(workspace, fold), "--resume"], workspace.runs, "resumed")
    wait_for(lambda: resumed.state().epochs, 120)
    assert resumed.state().epochs[0].epoch > len(state.epochs)
    os.kill(resumed.description().worker.pid, number)
    assert resumed.wait(60).status == "stopped"
    assert latest.stat().st_mtime_ns > written


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: os.kill ends a process there at once")
def test_in_a_terminal_sigterm_acts_as_the_first_ctrl_c(workspace):
    command = [sys.executable, "-m", "SegAutoPlanLib", *training(workspace, 2)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            break
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "stopped: Stopped in epoch" in rest
    assert list(workspace.results.rglob("fold_2/checkpoint_latest.pth"))


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: os.kill ends a process there at once")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_at_once(stand_in, number):
    run = stand_in(hears=False)
    wait_for(lambda: run.state().status == "running")
    pid = run.description().worker.pid
    os.kill(pid, number)
    wait_for(lambda: run.state().status == "stopping")
    os.kill(pid, number)
    assert run.wait(10).status == "stopped"
