"""What a viewer reads of a run: only what is new, and never more than it can understand."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

import pytest

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.progress import event_in_words
from SegAutoPlanLib.runs import RunFolder, RunReporter, RunWatcher, list_runs
from SegAutoPlanLib.runs.event_log import EventLog

LONG_AGO = 3600.0


def write_events(folder: Path, *events: dict | str, mode: str = "w") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "progress.jsonl", mode, encoding="utf-8") as file:
        for event in events:
            file.write((event if isinstance(event, str) else json.dumps(event)) + "\n")


def progress(done: int) -> dict:
    return {"event": "progress", "stage": "training", "done": done, "total": 9, "unit": "step", "eta_s": 2.0}


def make_old(folder: Path) -> None:
    then = time.time() - LONG_AGO
    for file in folder.iterdir():
        os.utime(file, (then, then))


def test_a_look_reads_only_what_was_appended(tmp_path):
    write_events(tmp_path, *(progress(n) for n in range(1000)), {"event": "epoch", "epoch": 1})
    log = EventLog(tmp_path / "progress.jsonl")
    assert len(log.read()[0]) == 2  # of progress that was overtaken only the last
    assert log.read() == ([], False)
    write_events(tmp_path, progress(7), mode="a")
    before = log_bytes_read()
    assert log.read() == ([progress(7)], False)
    after = log_bytes_read()
    if before is not None:
        assert after - before < 8192


def log_bytes_read() -> int | None:
    """Bytes that this process has read, where the system counts them."""
    counters = Path("/proc/self/io")
    return int(counters.read_text().split("rchar: ")[1].split()[0]) if counters.exists() else None


def test_the_watched_state_is_the_one_of_the_whole_file(tmp_path):
    watcher = RunWatcher(tmp_path)
    for n in range(1, 6):
        write_events(tmp_path, progress(n), {"event": "epoch", "epoch": n, "dice": [0.5, None]}, mode="a")
        assert watcher.poll() == RunFolder(tmp_path).state()
    assert [epoch.epoch for epoch in watcher.poll().epochs] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("events", [[progress(1)], [progress(n) for n in (5, 6, 7, 8, 9)]], ids=["shorter", "longer"])
def test_a_file_that_was_replaced_is_read_from_its_beginning(tmp_path, events):
    write_events(tmp_path, {"event": "epoch", "epoch": 1}, progress(2), {"event": "warning", "message": "old"})
    watcher = RunWatcher(tmp_path)
    assert watcher.poll().warnings == ("old",)
    write_events(tmp_path, *events)
    state = watcher.poll()
    assert (state.done, state.epochs, state.warnings) == (events[-1]["done"], (), ())


def test_a_file_that_is_gone_leaves_nothing_of_what_it_said(tmp_path):
    write_events(tmp_path, {"event": "epoch", "epoch": 1})
    watcher = RunWatcher(tmp_path)
    assert watcher.poll().epochs
    (tmp_path / "progress.jsonl").unlink()
    assert watcher.poll().epochs == ()


@pytest.mark.parametrize(
    "line",
    [
        "{broken",
        "[1, 2]",
        "null",
        "[" * 100_000,
        '{"no": "event"}',
        '{"event": 5}',
        '{"event": "progress", "done": "three"}',
        '{"event": "progress", "eta_s": Infinity}',
        '{"event": "epoch"}',
        '{"event": "epoch", "epoch": 2, "dice": "good"}',
        '{"event": "epoch", "epoch": 2, "seconds": NaN}',
        '{"event": "warning", "message": ["x"]}',
        '{"event": "finished", "result": 3}',
    ],
)
def test_a_line_that_makes_no_sense_is_skipped_and_said(tmp_path, line):
    between = {"event": "checkpoint"}
    write_events(tmp_path, progress(1), between, line, between, progress(2), {"event": "stopped", "message": "enough"})
    state = RunWatcher(tmp_path).poll()
    assert (state.status, state.done, state.message) == ("stopped", 2, "enough")
    [warning] = state.warnings
    assert warning == f"{tmp_path / 'progress.jsonl'}: 1 line was skipped, which cannot be read."


def test_what_a_worker_left_half_written_does_not_take_the_next_one_with_it(tmp_path):
    (tmp_path / "progress.jsonl").write_text('{"event": "prog')
    with RunReporter(tmp_path, ["x"]) as reporter:
        reporter.event("finished", result={})
    assert RunFolder(tmp_path).state().status == "finished"


UNREADABLE = {
    "a list": "[1, 2]",
    "a broken file": '{"name": "x", "ar',
    "not a text": b"\xff\xfe\x00",
    "empty": "",
    "no fields": "{}",
    "a pid that is a text": json.dumps({"name": "x", "pid": "12", "host": platform.node()}),
    "a pid that is no number of a process": json.dumps({"pid": -1, "host": platform.node()}),
    "arguments that are a number": json.dumps({"arguments": 5, "host": 3, "exit": "0"}),
}


@pytest.fixture
def unreadable_runs(tmp_path) -> Path:
    """A workspace in which one run is sound and all others are broken, each in its own way."""
    runs = tmp_path / "runs"
    for number, content in enumerate(UNREADABLE.values()):
        folder = runs / f"2026-01-01_00-00-0{number}_broken"
        write_events(folder, "{broken", {"event": 1})
        (folder / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        make_old(folder)
    with RunReporter(runs / "2026-01-02_00-00-00_sound", ["x"]) as reporter:
        reporter.event("finished", result={"a": 1})
    (runs / "2026-01-03_00-00-00_empty").mkdir()
    return tmp_path


def test_unreadable_runs_are_listed_with_a_sentence_beside_the_others(unreadable_runs, capsys):
    assert main(["runs", "list", "--workspace", str(unreadable_runs), "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert len(runs) == len(UNREADABLE) + 1
    assert (runs[0]["name"], runs[0]["status"]) == ("2026-01-02_00-00-00_sound", "finished")
    for run in runs[1:]:
        assert run["status"] == "lost"
        assert run["name"] in run["message"]
    assert main(["runs", "list", "--workspace", str(unreadable_runs)]) == 0
    assert capsys.readouterr().out.count("lost") == len(UNREADABLE)


@pytest.mark.parametrize("number", range(len(UNREADABLE)), ids=list(UNREADABLE))
def test_following_an_unreadable_run_ends(unreadable_runs, capsys, number):
    name = f"2026-01-01_00-00-0{number}_broken"
    assert main(["runs", "follow", name, "--workspace", str(unreadable_runs)]) == 0
    assert "lost" in capsys.readouterr().out


def test_following_an_odd_but_sound_event_prints_it(tmp_path, capsys):
    folder = tmp_path / "runs" / "2026-01-01_00-00-00_x"
    events = [{"event": "odd", "self": 1, "stage": 2}, {"event": "progress"}, {"event": "epoch", "epoch": 1}]
    write_events(folder, *events, {"event": "finished"})
    (folder / "run.json").write_text("{}")
    assert main(["runs", "follow", "--workspace", str(tmp_path)]) == 0
    assert "epoch 1/-" in capsys.readouterr().err


def test_an_unreadable_run_cannot_be_killed_and_nothing_else_is(unreadable_runs):
    for run in list_runs(unreadable_runs / "runs"):
        if run.description().worker is None:
            run.kill()
            assert run.state().status == "lost"


def test_the_newest_runs_come_first_and_only_as_many_as_wanted(unreadable_runs):
    runs = list_runs(unreadable_runs / "runs", 3)
    assert [run.name for run in runs] == sorted((run.name for run in runs), reverse=True)
    assert len(runs) == 3
    assert list_runs(unreadable_runs / "nowhere") == []


def test_of_a_giant_log_only_the_end_is_read(tmp_path):
    with open(tmp_path / "log.txt", "wb") as file:
        file.truncate(1 << 30)  # a hole: it takes no room on the disk
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast but one\nlast\xff\n")
    started = time.perf_counter()
    assert RunFolder(tmp_path).log_tail(2) == "last but one\nlast\ufffd"
    assert time.perf_counter() - started < 1.0


def test_a_log_of_one_long_line_has_an_end_too(tmp_path):
    (tmp_path / "log.txt").write_text("x" * 5000)
    assert set(RunFolder(tmp_path).log_tail(2)) == {"x"}


def test_the_first_request_to_stop_counts(tmp_path):
    run = RunFolder(tmp_path)
    assert not run.stop_requested()
    assert run.seconds_since_stop_request() is None
    run.request_stop()
    make_old(tmp_path)
    run.request_stop()
    assert run.stop_requested()
    assert run.seconds_since_stop_request() > LONG_AGO - 60


def test_whoever_watches_a_run_hears_what_a_warning_advises(tmp_path):
    write_events(tmp_path, {"event": "warning", "message": "It is slow.", "hint": "Buy a faster one."})
    assert RunWatcher(tmp_path).poll().warnings == ("It is slow. Buy a faster one.",)


def test_the_line_of_an_epoch_without_validation_has_a_dash_for_what_is_not_known():
    line = event_in_words("epoch", {"epoch": 3, "epochs": 3, "train_loss": -0.5, "val_loss": None, "dice": []})
    assert line == "epoch 3/3  loss -0.500 / -  Dice -  -"
