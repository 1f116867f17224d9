"""The shown panel: what the user does to widgets, and what the widgets say back."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from SegAutoPlanLib.runs import RunFolder, list_runs

from .conftest import section


def shown(widget) -> bool:
    """Whether the widget would be seen if its window were."""
    return not widget.isHidden()


@pytest.fixture
def ready(panel, add_volume, write_model):
    """The panel with a model and a volume chosen."""
    volume = add_volume()
    panel.ui.modelFolderPathLineEdit.currentPath = str(write_model())
    panel.parameters().channelVolumes = [volume]
    panel.volume = volume
    return panel


def channel_selectors(panel) -> dict[str, object]:
    return {selector.objectName: selector for selector in panel.segment._channels._selectors}


def start(host, panel) -> RunFolder:
    panel.ui.segmentButton.click()
    run = RunFolder(panel.parameters().runFolder)
    host.process_events(until=lambda: run.state().status != "starting")
    host.process_events(until=lambda: panel.ui.statusLabel.text != "Starting...")
    return run


def test_at_first_it_asks_for_a_model(panel):
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.segmentButton.toolTip == "Choose the folder of a trained model."
    assert panel.ui.problemLabel.text == "Choose the folder of a trained model."
    assert not panel.ui.show3DButton.enabled
    assert not shown(panel.ui.progressBar)


def test_the_only_volume_is_chosen_already(host, panel, add_volume):
    volume = add_volume()
    panel.widget.enter()
    assert list(panel.parameters().channelVolumes) == [volume]


def test_the_model_tells_its_segments_and_channels(panel, write_model):
    panel.ui.modelFolderPathLineEdit.currentPath = str(write_model(("T1", "FLAIR")))
    assert panel.ui.modelSummaryLabel.text == "Segments grey matter, white matter from T1, FLAIR (fold 0)."
    assert list(channel_selectors(panel)) == ["channelSelector_T1", "channelSelector_FLAIR"]


def test_each_channel_asks_for_its_volume_by_name(panel, add_volume, write_model):
    panel.ui.modelFolderPathLineEdit.currentPath = str(write_model(("T1", "FLAIR")))
    assert panel.ui.problemLabel.text == 'Choose the volume for "T1".'
    first, second = channel_selectors(panel).values()
    first.setCurrentNode(add_volume("a"))
    assert panel.ui.problemLabel.text == 'Choose the volume for "FLAIR".'
    second.setCurrentNode(add_volume("b"))
    assert panel.ui.segmentButton.enabled
    assert [node.GetName() for node in panel.parameters().channelVolumes] == ["a", "b"]


def test_another_model_makes_other_selectors_and_keeps_the_first_volume(panel, add_volume, write_model):
    panel.ui.modelFolderPathLineEdit.currentPath = str(write_model(("T1", "FLAIR")))
    volume = add_volume("a")
    channel_selectors(panel)["channelSelector_T1"].setCurrentNode(volume)
    panel.ui.modelFolderPathLineEdit.currentPath = str(write_model(("CT",), name="other"))
    assert list(channel_selectors(panel)) == ["channelSelector_CT"]
    assert channel_selectors(panel)["channelSelector_CT"].currentNode() is volume
    assert panel.ui.segmentButton.enabled


def test_channels_that_do_not_fit_are_said_before_anything_starts(host, panel, add_volume, write_model):
    panel.ui.modelFolderPathLineEdit.currentPath = str(write_model(("T1", "FLAIR")))
    other = host.slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.float32), name="small")
    panel.parameters().channelVolumes = [add_volume("a"), other]
    assert panel.ui.problemLabel.text.startswith("small and a are on different voxel grids")
    assert panel.ui.segmentButton.toolTip == panel.ui.problemLabel.text
    assert not panel.ui.segmentButton.enabled


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [("dataset.json", "there is no dataset.json"), ("fold_0/checkpoint_final.pth", "there are no weights")],
)
def test_a_bad_model_folder_is_one_sentence_in_the_panel(panel, add_volume, write_model, missing, sentence):
    folder = write_model()
    (folder / missing).unlink()
    add_volume()
    panel.ui.modelFolderPathLineEdit.currentPath = str(folder)
    assert sentence in panel.ui.problemLabel.text
    assert shown(panel.ui.problemLabel)
    assert panel.ui.segmentButton.toolTip == panel.ui.problemLabel.text
    assert not panel.ui.segmentButton.enabled


def test_weights_that_come_later_are_seen_when_the_module_is_entered_again(panel, add_volume, write_model):
    folder = write_model(weights=False)
    panel.ui.modelFolderPathLineEdit.currentPath = str(folder)
    panel.parameters().channelVolumes = [add_volume()]
    assert not panel.ui.segmentButton.enabled
    (folder / "fold_0" / "checkpoint_final.pth").touch()
    panel.widget.exit()
    panel.widget.enter()
    assert panel.ui.segmentButton.enabled


def test_pressing_segment_puts_the_result_into_the_scene(host, ready, expected_labels):
    from SegAutoPlanUI.scene.scene_bridge import labelsFromSegmentation

    start(host, ready)
    host.process_events(until=lambda: ready.ui.show3DButton.enabled, timeout_s=30)
    segmentation = ready.ui.show3DButton.segmentationNode()
    labels = labelsFromSegmentation(segmentation, ready.volume, {"grey matter": 1, "white matter": 2})
    np.testing.assert_array_equal(labels, expected_labels(host.slicer.util.arrayFromVolume(ready.volume)))
    assert ready.ui.statusLabel.text == "Finished."
    assert ready.ui.segmentButton.text == "Segment"
    assert ready.ui.segmentButton.enabled


def test_while_it_runs_the_panel_shows_progress_and_the_time_left(host, engine, ready):
    engine("wait")
    start(host, ready)
    host.process_events(until=lambda: ready.ui.progressBar.maximum == 4)
    assert ready.ui.segmentButton.text == "Cancel"
    assert shown(ready.ui.progressBar)
    assert ready.ui.progressBar.value == 1
    assert ready.ui.progressBar.text == "25%  1 min 30 s left"
    assert ready.ui.statusLabel.text == "Tiles: 1 / 4"
    assert not shown(ready.ui.problemLabel)


def test_the_log_is_followed_when_it_is_open(host, engine, ready):
    engine("wait")
    ready.ui.logCollapsibleButton.collapsed = False
    start(host, ready)
    host.process_events(until=lambda: "tiles 1/4" in ready.ui.logTextEdit.plainText)


def test_cancel_stops_the_process_and_leaves_the_scene_as_it_was(host, engine, ready):
    engine("wait")
    run = start(host, ready)
    ready.ui.segmentButton.click()
    host.process_events(until=lambda: ready.ui.statusLabel.text == "Cancelled.", timeout_s=20)
    assert run.state().status == "stopped"
    assert ready.ui.segmentButton.text == "Segment"
    assert not shown(ready.ui.progressBar)
    assert host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_cancel_works_before_the_process_is_up(host, engine, ready):
    engine("wait")
    ready.ui.segmentButton.click()
    ready.ui.segmentButton.click()
    host.process_events(until=lambda: ready.ui.statusLabel.text == "Cancelled.", timeout_s=20)
    assert RunFolder(ready.parameters().runFolder).state().over


def test_a_process_that_does_not_stop_is_ended_by_the_second_press(host, engine, ready):
    engine("stubborn")
    run = start(host, ready)
    ready.ui.segmentButton.click()
    host.process_events(until=lambda: ready.ui.segmentButton.text == "Stop now")
    ready.ui.segmentButton.click()
    host.process_events(until=lambda: ready.ui.statusLabel.text == "Cancelled.", timeout_s=30)
    assert run.state().over


def test_a_process_that_does_not_stop_is_ended_after_a_while_by_itself(host, module, monkeypatch, engine, ready):
    engine("stubborn")
    monkeypatch.setattr(module.run_follower, "STOP_PATIENCE_SECONDS", 0.3)
    start(host, ready)
    ready.ui.segmentButton.click()
    host.process_events(until=lambda: ready.ui.statusLabel.text == "Cancelled.", timeout_s=30)


def test_a_failure_shows_its_sentence_and_segment_can_be_pressed_again(host, engine, ready):
    engine("fail")
    start(host, ready)
    expected = "/models/x/fold_0/checkpoint_final.pth: the file is damaged. Copy the model again."
    host.process_events(until=lambda: ready.ui.statusLabel.text == expected)
    engine("succeed")
    start(host, ready)
    host.process_events(until=lambda: ready.ui.statusLabel.text == "Finished.", timeout_s=30)


def test_leaving_and_entering_the_module_mid_run_shows_the_run(host, engine, ready):
    gate = engine("wait")
    start(host, ready)
    ready.widget.exit()
    ready.widget.enter()
    assert ready.ui.segmentButton.text == "Cancel"
    gate.touch()
    host.process_events(until=lambda: ready.ui.statusLabel.text == "Finished.", timeout_s=30)
    assert len(host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1


def test_the_result_arrives_also_while_another_module_is_shown(host, engine, ready):
    gate = engine("wait")
    start(host, ready)
    ready.widget.exit()
    gate.touch()
    host.process_events(until=lambda: host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode"), timeout_s=30)


def test_closing_the_scene_mid_run_frees_the_panel_and_the_run_goes_on(host, engine, ready):
    gate = engine("wait")
    runs = section(ready.widget, "RunsPanel")
    run = start(host, ready)
    runs.ui.runsCollapsibleButton.collapsed = False
    host.close_scene()
    assert ready.ui.segmentButton.text == "Segment"
    assert not shown(ready.ui.progressBar)
    runs.refresh()
    assert runs.ui.runsCollapsibleButton.text == "Runs (1 running)"
    gate.touch()
    host.process_events(until=lambda: run.state().over, timeout_s=30)
    runs.refresh()
    row = runs.ui.runsTreeWidget.topLevelItem(0)
    assert re.fullmatch(r"\d\d:\d\d segment_T1_of_a_patient", row.text(0))
    assert run.name in row.toolTip(0)
    assert row.text(1) == "finished, not loaded yet"
    runs.ui.runsTreeWidget.setCurrentItem(runs.ui.runsTreeWidget.topLevelItem(0))
    assert runs.ui.loadRunButton.enabled
    runs.ui.loadRunButton.click()
    assert len(host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    assert runs.ui.runsTreeWidget.topLevelItem(0).text(1) == "finished"
    assert not runs.ui.loadRunButton.enabled


def test_a_new_panel_takes_up_the_run_and_loads_its_result(host, engine, ready):
    """As after Reload, or in a new Slicer that opened the saved scene."""
    gate = engine("wait")
    start(host, ready)
    host.slicer.util.reloadScriptedModule("SegAutoPlan")
    widget = host.slicer.modules.SegAutoPlanWidget
    assert widget is not ready.widget
    ui = section(widget, "SegmentPanel").ui
    assert ui.segmentButton.text == "Cancel"
    gate.touch()
    host.process_events(until=lambda: ui.statusLabel.text == "Finished.", timeout_s=30)
    assert len(host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    widget.cleanup()


def test_a_scene_saved_mid_run_gets_the_result_when_it_is_opened_again(host, engine, ready, tmp_path):
    gate = engine("wait")
    run = start(host, ready)
    scene = tmp_path / "saved.mrml"
    assert host.slicer.util.saveNode(ready.volume, str(tmp_path / "T1.nrrd"))
    host.slicer.mrmlScene.SetURL(str(scene))
    assert host.slicer.mrmlScene.Commit(str(scene))
    host.close_scene()
    gate.touch()
    host.process_events(until=lambda: run.state().over, timeout_s=30)
    assert host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []
    host.slicer.mrmlScene.SetURL(str(scene))
    assert host.slicer.mrmlScene.Import()
    host.process_events(until=lambda: ready.ui.statusLabel.text == "Finished.")
    [segmentation] = host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 2


def test_reload_takes_the_libraries_along(host, ready):
    before = dict(sys.modules)
    try:
        ready.widget.onReload()
        for name in ("SegAutoPlanUI.panels.segment.segment_panel", "SegAutoPlanLib.runs"):
            assert sys.modules[name] is not before[name]
        host.slicer.modules.SegAutoPlanWidget.cleanup()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("SegAutoPlanLib", "SegAutoPlanUI")]:
            del sys.modules[name]
        sys.modules.update(before)
        host.slicer.util.reloadScriptedModule("SegAutoPlan")
        host.slicer.modules.SegAutoPlanWidget.cleanup()


def test_the_runs_list_stops_a_run_that_somebody_else_started(host, engine, panel, add_volume, write_model, workspace):
    engine("wait")
    logic = sys.modules["SegAutoPlan"].SegAutoPlanLogic()
    run = logic.segment([add_volume()], write_model())
    host.process_events(until=lambda: run.state().total == 4)
    runs = section(panel.widget, "RunsPanel")
    runs.ui.runsCollapsibleButton.collapsed = False
    runs.refresh()
    assert runs.ui.runsTreeWidget.topLevelItem(0).text(1) == "25%, 1 min 30 s left"
    runs.ui.runsTreeWidget.setCurrentItem(runs.ui.runsTreeWidget.topLevelItem(0))
    runs.ui.stopRunButton.click()
    host.process_events(until=lambda: run.state().over, timeout_s=20)
    runs.refresh()
    assert runs.ui.runsTreeWidget.topLevelItem(0).text(1) == "Cancelled."
    assert not runs.ui.stopRunButton.enabled
    assert [run.path for run in list_runs(workspace / "runs")] == [run.path]


def test_without_torch_it_says_so_and_offers_to_install_it(host, module, monkeypatch, ready):
    monkeypatch.setattr(module.segment_panel, "torchInstalled", lambda: False)
    ready.widget.enter()
    assert shown(ready.ui.missingWidget)
    assert ready.ui.missingLabel.text == 'PyTorch is not installed; press "Install PyTorch".'
    assert not ready.ui.segmentButton.enabled
    assert ready.ui.segmentButton.toolTip == ready.ui.missingLabel.text


def test_with_torch_nothing_is_offered(ready):
    assert not shown(ready.ui.missingWidget)
    assert ready.ui.segmentButton.enabled


def test_choices_are_saved_with_the_scene_by_node_not_by_name(ready):
    node = ready.parameters().parameterNode
    assert node.GetParameter("modelFolder").endswith("model")
    assert node.GetNodeReference("channelVolumes.0") is ready.volume


def test_mirroring_is_automatic_until_chosen(ready):
    assert ready.parameters().mirroring.value is None
    ready.ui.mirroringComboBox.currentIndex = 2
    assert ready.parameters().mirroring.value is False


def test_of_what_runs_the_scene_keeps_only_where_it_is(host, engine, ready):
    """So a scene saved mid-run does not claim tomorrow that it runs."""
    engine("wait")
    run = start(host, ready)
    node = ready.parameters().parameterNode
    assert node.GetParameter("runFolder") == str(run.path)
    known = {"modelFolder", "channelVolumes", "outputSegmentation", "mirroring", "runFolder"}
    assert {name.partition(".")[0] for name in node.GetParameterNames()} == known
