"""Run folders as somebody may leave them in a workspace, looked at by the real panels: nothing raises in a slot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from SegAutoPlanLib.runs import list_runs

from .conftest import section

LARGE = 10**24
EVENTS = {
    "counts that no bar can show": {"event": "progress", "done": LARGE, "total": LARGE, "stage": "x"},
    "counts below zero": {"event": "progress", "done": -5, "total": -1, "stage": "x"},
    "nothing to do": {"event": "progress", "done": 5, "total": 0, "stage": "x"},
    "more than all": {"event": "progress", "done": 10**9, "total": 1, "stage": "x"},
    "an endless time": {"event": "progress", "done": 1, "total": 2, "stage": "x", "eta_s": 1e300},
    "a time below zero": {"event": "progress", "done": 1, "total": 2, "stage": "x", "eta_s": -1e12},
    "nulls": {"event": "progress", "done": None, "total": None, "stage": None, "unit": None, "eta_s": None},
    "lists": {"event": "progress", "done": [], "total": {}, "stage": []},
    "markup": {"event": "failed", "message": "<h1>x</h1><img src='file:///etc/passwd'>", "hint": "<a href='x'>y</a>"},
    "an endless message": {"event": "failed", "message": "W" * 1_000_000},
    "an endless stage": {"event": "progress", "done": 1, "total": 2, "stage": "W" * 1_000_000},
    "control characters": {"event": "failed", "message": "a\x1b[31m\r\nb\u202ec"},
    "an epoch of texts": {"event": "epoch", "epoch": "x", "dice": ["y"]},
    "a huge epoch": {"event": "epoch", "epoch": LARGE, "dice": [LARGE]},
    "a result of another kind": {"event": "finished", "result": [1, 2]},
    "an unknown event": {"event": "x" * 10_000},
}
NAMES = ("<b>bold", "x" * 200, "line\nbreak", "2026-01-01_00-00-00_a.app", " ", "\u202eback", "-rf", "con")


def write_run(folder: Path, *events: dict) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "progress.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return folder


def shown_texts(panel) -> list[str]:
    tree = section(panel.widget, "RunsPanel").ui.runsTreeWidget
    items = [tree.topLevelItem(row) for row in range(len(section(panel.widget, "RunsPanel")._runs))]
    cells = [item.text(column) for item in items for column in (0, 1)]
    return [*cells, panel.ui.statusLabel.text, panel.ui.problemLabel.text]


@pytest.mark.parametrize("kind", EVENTS)
def test_whatever_a_run_says_it_is_shown_in_a_line(panel, workspace, kind):
    folder = write_run(workspace / "runs" / "2026-01-01_00-00-00_x", EVENTS[kind])
    panel.parameters().runFolder = str(folder)
    panel.widget.enter()
    assert panel.segment.shownRun().path == folder
    for text in shown_texts(panel):
        assert len(text) <= 410
        assert not any(ord(character) < 32 or character == "\u202e" for character in text)
    assert 0 <= panel.ui.progressBar.value <= panel.ui.progressBar.maximum


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: such names cannot be on Windows")
@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_run_is_called_the_list_shows_it(panel, workspace, name):
    write_run(workspace / "runs" / name, {"event": "finished"})
    panel.widget.enter()
    assert len(list_runs(workspace / "runs")) == 1
    for text in shown_texts(panel):
        assert len(text) <= 410
        assert "\n" not in text


def test_a_result_that_cannot_be_loaded_is_said_in_the_list(panel, workspace):
    folder = write_run(workspace / "runs" / "2026-01-01_00-00-00_x", {"event": "finished"})
    job = workspace / "runs" / "segmentations" / "brain_1" / "output"
    job.mkdir(parents=True)
    (job / "case.nii.gz").write_bytes(b"no image")
    description = {"model": "<b>m</b>", "files": "brain_1", "volumeName": "v", "fileEnding": ".nii.gz"}
    (folder / "segment.json").write_text(json.dumps(description))
    panel.widget.enter()
    runs = section(panel.widget, "RunsPanel")
    runs.ui.runsTreeWidget.setCurrentItem(runs.ui.runsTreeWidget.topLevelItem(0))
    assert runs.ui.loadRunButton.enabled
    runs.ui.loadRunButton.click()
    assert shown_texts(panel)[1].endswith("run the segmentation again.")
    assert (job / "case.nii.gz").exists()


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: links need a right on Windows")
def test_a_stop_is_not_written_through_a_link(workspace, tmp_path):
    folder = write_run(workspace / "runs" / "2026-01-01_00-00-00_x")
    (folder / "STOP").symlink_to(tmp_path / "outside")
    (run,) = list_runs(workspace / "runs")
    run.request_stop()
    assert run.stop_requested()
    assert not (tmp_path / "outside").exists()
