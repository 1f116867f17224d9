"""After Reload nothing of the old panel stays: no timer, no follower, no watcher."""

from __future__ import annotations

import gc
import json
import platform
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from SegAutoPlanLib.runs import RunFolder, RunState

from .conftest import section


@pytest.fixture
def run(tmp_path) -> RunFolder:
    (tmp_path / "run.json").write_text(json.dumps({"pid": 1, "host": "another-computer"}))
    (tmp_path / "progress.jsonl").write_text('{"event": "started"}\n')
    return RunFolder(tmp_path)


class Panel:
    """Whoever is told how a run stands."""

    def __init__(self, module, run: RunFolder) -> None:
        self.states = []
        self.follower = module.run_follower.RunFollower(run, self.show)
        self.follower.start()

    def show(self, state: RunState) -> None:
        self.states.append(state)


def test_a_released_follower_and_its_panel_go_away(host, module, run):
    panel = Panel(module, run)
    states = panel.states
    host.process_events(until=lambda: states)
    follower, kept = weakref.ref(panel.follower), weakref.ref(panel)
    panel.follower.release()
    panel.follower.release()  # a second time does no harm
    panel = None
    gc.collect()
    assert (follower(), kept()) == (None, None)


def test_a_connected_timer_keeps_what_it_calls_which_is_why_it_is_released(host, module, run):
    panel = Panel(module, run)
    kept = weakref.ref(panel)
    timer = panel.follower._timer._timer
    panel = None
    gc.collect()
    assert kept() is not None
    kept().follower.release()
    gc.collect()
    assert kept() is None
    assert timer is not None


def test_after_its_end_a_run_is_not_looked_at_again(host, module, run):
    panel = Panel(module, run)
    states = panel.states
    host.process_events(until=lambda: states)
    with open(run.path / "progress.jsonl", "a") as file:
        file.write('{"event": "stopped", "message": "enough"}\n')
    host.process_events(until=lambda: panel.follower.state.over)
    seen = len(panel.states)
    host.process_events(timeout_s=0.1)
    panel.follower.poll()
    assert len(panel.states) == seen


def test_after_reload_the_old_panels_are_gone(host, engine, add_volume, write_model):
    import qt

    engine("wait")
    host.slicer.util.reloadScriptedModule("SegAutoPlan")
    widget = host.load_module("SegAutoPlan")
    widget.enter()
    segment, runs = section(widget, "SegmentPanel"), section(widget, "RunsPanel")
    segment.ui.modelFolderPathLineEdit.currentPath = str(write_model())
    widget._parameterNode.channelVolumes = [add_volume()]
    segment.ui.segmentButton.click()
    run = RunFolder(widget._parameterNode.runFolder)
    host.process_events(until=lambda: run.state().total == 4)
    runs.refresh()
    parts = (*widget.panels, segment._follower, *runs._watchers.values())
    old = {type(part).__name__: weakref.ref(part) for part in parts}
    assert len(old) == len(widget.panels) + 2
    names = [panel.widget.objectName for panel in widget.panels]
    # Two of one name would leave it to chance which one a script finds.
    representation = host.slicer.modules.segautoplan.widgetRepresentation()
    del widget, parts, segment, runs
    host.slicer.util.reloadScriptedModule("SegAutoPlan")
    # What an application's event loop does by itself.
    qt.QCoreApplication.sendPostedEvents(None, qt.QEvent.DeferredDelete)
    gc.collect()
    assert {name for name, part in old.items() if part() is not None} == set()
    assert [len(host.slicer.util.findChildren(representation, name=name)) for name in names] == [1] * len(names)
    host.slicer.modules.SegAutoPlanWidget.cleanup()


def test_a_run_that_seems_lost_keeps_its_files(host, engine, module, panel, add_volume, write_model):
    engine("wait")
    logic = sys.modules["SegAutoPlan"].SegAutoPlanLogic()
    answers = []
    run = logic.segment([add_volume()], write_model(), onFinished=lambda *answer: answers.append(answer))
    host.process_events(until=lambda: run.state().total == 4)
    job = module.segmentation_job.SegmentationJob.of(run)
    run.kill()
    host.process_events(until=lambda: answers, timeout_s=30)
    assert run.state().status == "lost"
    assert job.input.is_dir()


def test_what_a_forged_job_names_is_not_removed(tmp_path, module):
    precious = tmp_path / "precious"
    precious.mkdir()
    run = RunFolder(tmp_path / "runs" / "x")
    run.path.mkdir(parents=True)
    job = {"model": "m", "files": str(precious), "volumeName": "v", "fileEnding": ".nrrd"}
    for content in (json.dumps(job), "[]", "{}", json.dumps({**job, "files": 3})):
        (run.path / "segment.json").write_text(content)
        assert module.segmentation_job.SegmentationJob.of(run) is None
        module.segmentation_job.removeFiles(run)
    assert precious.is_dir()


@pytest.fixture
def unreachable(workspace) -> Iterator[RunFolder]:
    """A run of another computer, and an unreadable one beside it."""
    folder = workspace / "runs" / "2026-01-02_00-00-00_elsewhere"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"pid": 1, "host": "another-computer"}))
    (folder / "progress.jsonl").write_text('{"event": "started"}\n')
    broken = workspace / "runs" / "2026-01-01_00-00-00_broken"
    broken.mkdir()
    (broken / "run.json").write_text("[]")
    (broken / "segment.json").write_text("[]")
    (broken / "progress.jsonl").write_text('{"event": "finished"}\n')
    yield RunFolder(folder)
    shutil.rmtree(folder)


def test_the_runs_list_shows_unreadable_runs_and_says_what_it_cannot_end(panel, unreachable):
    runs = section(panel.widget, "RunsPanel")
    tree = runs.ui.runsTreeWidget
    runs.refresh()
    assert tree.topLevelItem(1).text(1) == "finished"
    tree.setCurrentItem(tree.topLevelItem(0))
    runs.ui.stopRunButton.click()
    assert tree.topLevelItem(0).text(1) == "stopping"
    runs.ui.stopRunButton.click()
    assert "runs on another computer (another-computer); end it there" in tree.topLevelItem(0).text(1)


def test_stop_now_on_a_process_that_is_not_ours_is_one_sentence_in_the_panel(panel, unreachable):
    innocent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        description = {"pid": innocent.pid, "host": platform.node(), "run_folder": str(unreachable.path)}
        (unreachable.path / "run.json").write_text(json.dumps(description))
        panel.parameters().runFolder = str(unreachable.path)
        assert panel.ui.segmentButton.text == "Cancel"
        panel.ui.segmentButton.click()
        assert panel.ui.segmentButton.text == "Stop now"
        panel.ui.segmentButton.click()
        assert f"process {innocent.pid} is not known to be this run's" in panel.ui.statusLabel.text
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()
