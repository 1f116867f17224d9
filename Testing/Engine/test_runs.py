"""A run outlives its starter, tells how it is, stops when asked, and says when it has died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.runs import RunFolder, RunReporter, RunWatcher, list_runs, start_run, state_after
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, ball_workspace

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return ball_workspace(tmp_path_factory.mktemp("runs"))


def start_training(workspace: Workspace, *options: str) -> RunFolder:
    root = str(workspace.runs.parent)
    verb = ["train", NAME, "3d_fullres", "0", "--workspace", root, "--recipe", "short", "--device", "cpu"]
    return start_run([*verb, *options], workspace.runs, "train balls")


def wait_for(condition, timeout_s: float = 90):
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.1)


def test_a_training_run_reports_and_finishes(workspace):
    run = start_training(workspace, "--epochs", "2", "--iterations", "3")
    state = run.wait(120)
    assert state.status == "finished", run.log_tail()
    assert [epoch.epoch for epoch in state.epochs] == [1, 2]
    assert None not in vars(state.epochs[0]).values()
    assert state.epochs[0].epochs == 2
    assert len(state.epochs[0].dice) == 2
    assert Path(state.result["checkpoint"]).is_file()
    description = run.description()
    assert description.exit_code == 0
    assert description.worker.pid != os.getpid()
    assert list_runs(workspace.runs)[0].name == run.name


def test_stop_ends_a_training_cleanly_and_it_can_be_resumed(workspace):
    run = start_training(workspace, "--epochs", "400", "--iterations", "5")
    wait_for(lambda: run.state().epochs)
    run.request_stop()
    state = run.wait(60)
    assert state.status == "stopped", run.log_tail()
    finished = len(state.epochs)
    resumed = start_training(workspace, "--epochs", str(finished + 1), "--iterations", "5", "--resume")
    state = resumed.wait(120)
    assert state.status == "finished", resumed.log_tail()
    assert state.epochs[-1].epoch == finished + 1


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: it has no SIGKILL")
def test_a_killed_run_is_lost_and_resumes_from_its_checkpoint(workspace):
    run = start_training(workspace, "--epochs", "400", "--iterations", "5")
    wait_for(lambda: len(run.state().epochs) >= 2)
    os.kill(run.description().worker.pid, signal.SIGKILL)
    wait_for(lambda: run.state().status == "lost")
    assert str(run.path) in run.state().message
    known = run.state().epochs[-1].epoch
    resumed = start_training(workspace, "--epochs", str(known + 1), "--iterations", "5", "--resume")
    assert resumed.wait(120).status == "finished", resumed.log_tail()
    assert resumed.state().epochs[0].epoch > 1


def test_a_run_survives_the_process_that_started_it(workspace):
    starter = (
        "from SegAutoPlanLib.runs import start_run; import sys;"
        f"print(start_run(['train', {NAME!r}, '3d_fullres', '1', '--workspace', {str(workspace.runs.parent)!r},"
        f" '--recipe', 'short', '--epochs', '1', '--iterations', '2', '--device', 'cpu'], {str(workspace.runs)!r},"
        " 'orphan').path)"
    )
    started = subprocess.run(
        [sys.executable, "-c", starter], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    run = RunFolder(started.stdout.strip())
    assert run.wait(120).status == "finished", run.log_tail()


def test_a_failing_run_says_what_is_wrong_in_a_sentence(workspace):
    run = start_run(["predict", "--model", "nowhere", "--input", ".", "--output", "out"], workspace.runs, "bad")
    state = run.wait(60)
    assert state.status == "failed"
    assert "nowhere" in state.message
    assert run.description().exit_code == 2


def test_a_crash_of_ours_fails_the_run_with_a_hint(tmp_path):
    with pytest.raises(ZeroDivisionError), RunReporter(tmp_path, ["x"]):
        1 / 0  # noqa: B018
    state = RunFolder(tmp_path).state()
    assert state.status == "failed"
    assert "ZeroDivisionError" in state.message
    assert state.hint


def test_a_python_that_cannot_be_started_is_named(tmp_path):
    with pytest.raises(UserInputError, match="no_such_python"):
        start_run(["runs"], tmp_path, "x", python=str(tmp_path / "no_such_python"))


def test_kill_ends_a_run_that_does_not_answer(workspace):
    run = start_training(workspace, "--epochs", "400", "--iterations", "5")
    wait_for(lambda: run.description().worker)
    run.kill()
    wait_for(lambda: run.state().status == "lost", 30)


def test_half_a_line_is_left_for_the_next_look(tmp_path):
    watcher = RunWatcher(tmp_path)
    first, second = ({"event": "progress", "done": n} for n in (1, 2))
    text = json.dumps(first) + "\n" + json.dumps(second)
    (tmp_path / "progress.jsonl").write_text(text[:-5])
    assert watcher.poll().done == 1
    assert watcher.new_events == (first,)
    (tmp_path / "progress.jsonl").write_text(text + "\n")
    assert watcher.poll().done == 2
    assert watcher.new_events == (second,)


def test_a_resumed_run_replaces_the_epochs_it_repeats():
    epochs = [{"event": "epoch", "epoch": n} for n in (1, 2, 3)]
    events = [*epochs, {"event": "stopped", "message": "x"}, {"event": "started"}, {"event": "epoch", "epoch": 3}]
    state = state_after(events)
    assert state.status == "running"
    assert [epoch.epoch for epoch in state.epochs] == [1, 2, 3]


def test_a_stop_asked_for_before_the_worker_is_up_is_heard(workspace):
    run = start_training(workspace, "--epochs", "400", "--iterations", "5")
    run.request_stop()
    assert run.wait(90).status == "stopped", run.log_tail()
    assert run.state().epochs == ()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT TESTED: there is no /dev/full here")
def test_a_log_that_cannot_be_written_does_not_end_the_work(tmp_path):
    (tmp_path / "progress.jsonl").symlink_to("/dev/full")
    with RunReporter(tmp_path, ["x"]) as reporter:
        reporter.event("epoch", epoch=1)
        (tmp_path / "progress.jsonl").unlink()
        # The disk has room again, behind half a line.
        (tmp_path / "progress.jsonl").write_text('{"time": "2026", "ev')
        reporter.event("warning", message="heard")
        reporter.event("finished", result={})
        reporter.close(0)
    state = RunFolder(tmp_path).state()
    assert state.status == "finished"
    assert "heard" in (tmp_path / "progress.jsonl").read_text().splitlines()[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT TESTED: there is no /dev/full here")
@pytest.mark.parametrize(("stream", "code"), [("stdout", 2), ("stderr", 0)])
def test_results_that_cannot_be_shown_are_a_sentence_and_progress_is_not_missed(workspace, stream, code):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "SegAutoPlanLib", "check", NAME, "--workspace", str(workspace.runs.parent)],
            cwd=REPOSITORY,
            text=True,
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full},
        )
    assert done.returncode == code
    if stream == "stdout":
        assert "standard output: the disk is full" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: links are POSIX's")
@pytest.mark.parametrize("kind", ["file", "below a file", "run.json is a folder"])
def test_a_run_folder_that_cannot_be_used_is_one_sentence(tmp_path, kind):
    folder = tmp_path / "run"
    if kind == "run.json is a folder":
        (folder / "run.json").mkdir(parents=True)
    else:
        folder.touch()
    folder = folder / "below" if kind == "below a file" else folder
    done = subprocess.run(
        [sys.executable, "-m", "SegAutoPlanLib", "check", NAME, "--run-folder", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert str(tmp_path / "run") in done.stderr
    assert "Traceback" not in done.stderr
