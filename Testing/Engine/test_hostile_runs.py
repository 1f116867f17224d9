"""Run folders as a viewer may find them: whatever stands in them, watching answers at once and never fails."""

from __future__ import annotations

import contextlib
import json
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.runs import RunFolder, list_runs
from SegAutoPlanLib.runs.event_log import LONGEST_LINE, EventLog

FINISHED = b'{"event": "finished", "result": {"a": 1}}\n'
HOSTILE = {
    "depth": b"[" * 200_000,
    "digits": b'{"event": "progress", "done": ' + b"9" * 5000 + b"}",
    "large numbers": b'{"event": "progress", "done": 1e999, "total": -1}',
    "not a number": b'{"event": "progress", "done": 1, "total": 2, "eta_s": NaN}',
    "wrong types": b'{"event": {"a": []}, "message": 7}',
    "a list": b"[1, 2]",
    "text": b'"x"',
    "zeros": b"\0" * 1000,
    "other encoding": b"\xff\xfe\x00",
    "repeated keys": b'{"event": "finished", "event": "failed"}',
    "a giant line": b'{"event": "' + b"x" * (LONGEST_LINE + 10) + b'"}',
    "half characters": rb'{"event": "warning", "message": "\ud800"}',
}


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "runs" / "2026-01-01_00-00-00_x"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    return folder


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_line_that_is_no_event_is_passed_over_and_counted(folder, kind):
    (folder / "progress.jsonl").write_bytes(HOSTILE[kind] + b"\n" + FINISHED)
    state = RunFolder(folder).state()
    assert state.status == "finished"
    assert state.result == {"a": 1}
    assert "1 line was skipped" in state.warnings[-1]


DESCRIPTIONS = (
    b"",
    b"[]",
    b"{",
    b"[" * 200_000,
    b'{"pid": true}',
    b'{"pid": 1e999}',
    b'{"pid": -1, "host": 3}',
    b"\xff",
    b"7",
    b'{"arguments": {"a": 1}, "exit": "x", "name": [1], "asked_in": 7, "pid": 99999999999999999999}',
)


@pytest.mark.parametrize("name", ["run.json", "launcher.json"])
@pytest.mark.parametrize("content", DESCRIPTIONS)
def test_whatever_describes_a_run_its_state_can_be_told(folder, name, content):
    (folder / name).write_bytes(content)
    (folder / "progress.jsonl").write_bytes(FINISHED)
    run = RunFolder(folder)
    assert run.state().status == "finished"
    assert isinstance(run.description().arguments, tuple)
    run.log_tail()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="NOT TESTED: no pipes in the file system here")
@pytest.mark.parametrize("name", ["run.json", "launcher.json", "progress.jsonl", "log.txt", "STOP"])
@pytest.mark.parametrize("what", ["pipe", "device", "circle", "folder", "nothing"])
def test_what_is_no_file_keeps_nobody_waiting(folder, name, what):
    path = folder / name
    path.unlink(missing_ok=True)
    make = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "circle": lambda: path.symlink_to(path),
        "folder": path.mkdir,
        "nothing": lambda: path.symlink_to(folder / "nothing there"),
    }
    make[what]()
    started = time.monotonic()
    run = RunFolder(folder)
    run.state()
    run.log_tail()
    list_runs(folder.parent)
    with contextlib.suppress(UserInputError):
        run.request_stop()
    assert time.monotonic() - started < 10


def test_a_forged_log_of_any_size_is_read_in_pieces(folder):
    with (folder / "progress.jsonl").open("wb") as stream:
        stream.truncate(1 << 40)
    log = EventLog(folder / "progress.jsonl")
    tracemalloc.start()
    try:
        events, _ = log.read()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert events == []
    assert most < 200 << 20


def test_many_events_are_read_at_several_looks_and_none_is_lost(folder, monkeypatch):
    monkeypatch.setattr("SegAutoPlanLib.runs.event_log.PIECE_BYTES", 1000)
    monkeypatch.setattr("SegAutoPlanLib.runs.event_log.MOST_EVENTS_PER_LOOK", 100)
    lines = [json.dumps({"event": "note", "number": number}) for number in range(1000)]
    (folder / "progress.jsonl").write_text("\n".join(lines) + "\n" + '{"event": "no')
    log = EventLog(folder / "progress.jsonl")
    found = []
    for _ in range(30):
        events, anew = log.read()
        assert not anew
        found += [event["number"] for event in events]
    assert found == list(range(1000))
    with (folder / "progress.jsonl").open("a") as stream:
        stream.write('te", "number": 1000}\n')
    assert log.read()[0] == [{"event": "note", "number": 1000}]


def test_a_stop_that_cannot_be_written_is_a_sentence(tmp_path):
    with pytest.raises(UserInputError, match="STOP: does not exist"):
        RunFolder(tmp_path / "gone").request_stop()


def test_hostile_neighbours_do_not_hide_a_run(folder):
    runs = folder.parent
    (runs / "a file").touch()
    (runs / "an empty folder").mkdir()
    (runs / "line\nbreak").mkdir()
    (runs / "circle").symlink_to(runs / "circle")
    assert [run.name for run in list_runs(runs)] == [folder.name]
    assert list_runs(runs / "a file") == []
    assert list_runs(runs / ("x" * 300)) == []


OUT_OF_RANGE = (
    {"event": "progress", "done": 10**24, "total": 1},
    {"event": "progress", "done": -1, "total": 1},
    {"event": "progress", "done": 1, "total": 2, "eta_s": 1e300},
    {"event": "epoch", "epoch": 10**24},
)


@pytest.mark.parametrize("event", OUT_OF_RANGE)
def test_a_count_that_no_bar_can_show_is_no_event(folder, event):
    (folder / "progress.jsonl").write_bytes(json.dumps(event).encode() + b"\n" + FINISHED)
    assert "1 line was skipped" in RunFolder(folder).state().warnings[-1]


def test_a_long_message_is_cut(folder):
    (folder / "progress.jsonl").write_text(json.dumps({"event": "failed", "message": "x" * 1_000_000}) + "\n")
    assert len(RunFolder(folder).state().message) < 3000


def test_a_log_of_many_looks_is_not_over_before_it_is_read(folder, monkeypatch):
    """A run that failed and was resumed has an end in the middle of its log."""
    monkeypatch.setattr("SegAutoPlanLib.runs.event_log.PIECE_BYTES", 1000)
    monkeypatch.setattr("SegAutoPlanLib.runs.event_log.PIECES_PER_LOOK", 1)
    notes = "".join('{"event": "note"}\n' for _ in range(400))
    (folder / "progress.jsonl").write_text('{"event": "failed", "message": "m"}\n' + notes)
    watcher = RunFolder(folder).watch()
    assert (watcher.poll().status, watcher.is_up_to_date) == ("running", False)
    (folder / "progress.jsonl").write_bytes(notes.encode() + FINISHED)
    assert RunFolder(folder).state().status == "finished"


def test_following_a_run_passes_over_nulls(folder, capsys):
    from SegAutoPlanLib.__main__ import main

    line = b'{"event": "progress", "done": 1, "total": null, "stage": null, "unit": null}\n'
    (folder / "progress.jsonl").write_bytes(line + FINISHED)
    assert main(["runs", "follow", "--workspace", str(folder.parents[1])]) == 0
    assert "finished" in capsys.readouterr().out
