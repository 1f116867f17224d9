"""SegAutoPlanLogic.segment, from a script: returns at once, and the result arrives in the scene."""

from __future__ import annotations

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.runs import list_runs

from .conftest import MATRIX, SEGMENTS


@pytest.fixture
def logic(module, engine):
    return module.SegAutoPlan.SegAutoPlanLogic()


@pytest.fixture
def finished():
    """A callback that remembers what it was told."""

    class Finished(list):
        def __call__(self, node, error):
            self.append((node, error))

    return Finished()


def label_array(host, segmentation, volume) -> np.ndarray:
    from SegAutoPlanUI.scene.scene_bridge import labelsFromSegmentation

    return labelsFromSegmentation(segmentation, volume, {"grey matter": 1, "white matter": 2})


def test_the_result_is_the_engines_labels_on_the_volumes_grid(
    host, logic, write_model, add_volume, finished, expected_labels
):
    volume = add_volume()
    run = logic.segment([volume], write_model(), onFinished=finished)
    assert not finished, "segment() must return before the result is there"
    assert logic.waitFor(run, 30).status == "finished"
    [(segmentation, error)] = finished
    assert error is None
    assert segmentation.GetName() == "T1 of a patient segmentation"
    expected = expected_labels(host.slicer.util.arrayFromVolume(volume))
    np.testing.assert_array_equal(label_array(host, segmentation, volume), expected)


def test_names_colours_and_terminology_are_those_of_the_training_segments(
    host, logic, write_model, add_volume, finished
):
    logic.waitFor(logic.segment([add_volume()], write_model(), onFinished=finished), 30)
    segmentation = finished[0][0].GetSegmentation()
    for identifier, (name, look) in zip(segmentation.GetSegmentIDs(), SEGMENTS.items(), strict=True):
        segment = segmentation.GetSegment(identifier)
        assert segment.GetName() == name
        np.testing.assert_allclose(segment.GetColor(), look["color"])
        if look["terminology"]:
            assert segment.GetTerminology() == look["terminology"]


def test_the_result_is_under_the_volumes_transform(host, logic, write_model, add_volume, finished, expected_labels):
    volume = add_volume()
    transform = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(host.slicer.util.vtkMatrixFromArray(np.roll(np.eye(4), 1, 0)[[1, 2, 0, 3]]))
    turned = np.array([[0.0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])
    transform.SetMatrixTransformToParent(host.slicer.util.vtkMatrixFromArray(turned))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    logic.waitFor(logic.segment([volume], write_model(), onFinished=finished), 30)
    segmentation = finished[0][0]
    assert segmentation.GetTransformNodeID() == transform.GetID()
    expected = expected_labels(host.slicer.util.arrayFromVolume(volume))
    np.testing.assert_array_equal(label_array(host, segmentation, volume), expected)
    assert volume.GetTransformNodeID() == transform.GetID()


def test_two_models_may_work_on_one_volume_at_a_time(host, logic, engine, write_model, add_volume, finished):
    gate = engine("wait")
    volume = add_volume()
    runs = [logic.segment([volume], write_model(name=name), onFinished=finished) for name in ("one", "two")]
    gate.touch()
    for run in runs:
        assert logic.waitFor(run, 30).status == "finished"
    assert [error for _, error in finished] == [None, None]
    assert len({node.GetID() for node, _ in finished}) == 2
    assert not [name for name in volume.GetAttributeNames() if name.startswith("SegAutoPlan")]


def test_a_given_segmentation_takes_the_result(host, logic, write_model, add_volume, finished):
    mine = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    logic.waitFor(logic.segment([add_volume()], write_model(), mine, finished), 30)
    assert finished[0][0] is mine
    assert mine.GetSegmentation().GetNumberOfSegments() == 2
    assert len(host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1


def test_each_channel_is_a_file_in_the_models_order(host, logic, engine, write_model, add_volume, workspace):
    engine("wait")
    run = logic.segment([add_volume("a"), add_volume("b")], write_model(("T1", "T2")))
    [folder] = (workspace / "runs" / "segmentations").iterdir()
    files = sorted((folder / "input").iterdir())
    assert [file.name for file in files] == ["case_0000.nii", "case_0001.nii"]
    arguments = list(run.description().arguments)
    assert arguments[:2] == ["predict", "--model"]
    first = arguments.index("--input") + 1
    assert arguments[first : first + 3] == [*map(str, files), "--output"]
    assert "--mirroring" not in arguments
    assert "--no-mirroring" not in arguments


@pytest.mark.parametrize(("mirroring", "option"), [(True, "--mirroring"), (False, "--no-mirroring")])
def test_mirroring_is_passed_on(logic, engine, write_model, add_volume, mirroring, option):
    engine("wait")
    run = logic.segment([add_volume()], write_model(), mirroring=mirroring)
    assert option in run.description().arguments


def test_nothing_but_the_run_stays_on_disk_after_loading(logic, write_model, add_volume, workspace):
    run = logic.segment([add_volume()], write_model())
    logic.waitFor(run, 30)
    assert list((workspace / "runs" / "segmentations").iterdir()) == []
    assert (run.path / "log.txt").is_file()


def test_files_of_a_job_that_ended_while_slicer_was_closed_are_removed_at_the_next_one(
    logic, engine, module, write_model, add_volume, workspace
):
    engine("wait")
    model, volume = write_model(), add_volume()
    closed, waiting = (logic.segment([volume], model) for _ in range(2))
    for follower in [*module.segmentation_following._followers]:
        module.segmentation_following.stopFollowing(follower)
    module.warm_engine.warmEngine().close()
    for run in (closed, waiting):
        assert run.wait(10).status == "stopped"
    folders = workspace / "runs" / "segmentations"
    assert len(list(folders.iterdir())) == 2
    engine("succeed")
    logic.waitFor(logic.segment([volume], model), 30)
    assert list(folders.iterdir()) == []


def test_a_failure_is_told_in_the_engines_sentence(logic, engine, write_model, add_volume, finished, workspace):
    engine("fail")
    run = logic.segment([add_volume()], write_model(), onFinished=finished)
    assert logic.waitFor(run, 30).status == "failed"
    assert finished == [(None, "/models/x/fold_0/checkpoint_final.pth: the file is damaged. Copy the model again.")]
    assert list((workspace / "runs" / "segmentations").iterdir()) == []


def test_a_crash_is_told_with_the_last_line_of_the_log(logic, engine, write_model, add_volume, finished):
    engine("crash")
    run = logic.segment([add_volume()], write_model(), onFinished=finished)
    logic.waitFor(run, 30)
    [(node, error)] = finished
    assert node is None
    assert "a bug of ours" in error


def test_a_stopped_run_gives_no_node(host, logic, engine, write_model, add_volume, finished):
    engine("wait")
    run = logic.segment([add_volume()], write_model(), onFinished=finished)
    host.process_events(until=lambda: run.state().status == "running")
    run.request_stop()
    assert logic.waitFor(run, 30).status == "stopped"
    assert finished == [(None, "Cancelled.")]
    assert host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_a_volume_deleted_meanwhile_leaves_the_result_on_disk(host, logic, engine, write_model, add_volume, finished):
    gate = engine("wait")
    volume = add_volume()
    run = logic.segment([volume], write_model(), onFinished=finished)
    host.slicer.mrmlScene.RemoveNode(volume)
    gate.touch()
    logic.waitFor(run, 30)
    [(node, error)] = finished
    assert node is None
    assert error.startswith("T1 of a patient: the volume is no longer in the scene; its segmentation is kept in ")


def test_a_volume_of_another_scene_with_the_same_id_is_not_mistaken(
    host, logic, engine, write_model, add_volume, finished
):
    gate = engine("wait")
    first = add_volume().GetID()
    run = logic.segment([host.slicer.mrmlScene.GetNodeByID(first)], write_model(), onFinished=finished)
    host.close_scene()
    assert add_volume("another patient").GetID() == first, "the trap is not set"
    gate.touch()
    logic.waitFor(run, 30)
    assert finished[0][0] is None
    assert host.slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_a_result_without_its_volume_can_still_be_loaded_in_place(
    host, module, logic, engine, write_model, add_volume, expected_labels
):
    gate = engine("wait")
    volume = add_volume()
    expected = expected_labels(host.slicer.util.arrayFromVolume(volume))
    run = logic.segment([volume], write_model())
    host.close_scene()
    gate.touch()
    logic.waitFor(run, 30)
    segmentation = module.segmentation_job.loadResult(run, anywhere=True)
    again = host.slicer.util.addVolumeFromArray(expected, ijkToRAS=MATRIX)
    np.testing.assert_array_equal(label_array(host, segmentation, again), expected)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "dataset.json").unlink(), "there is no dataset.json, so this is not a model folder"),
        (lambda folder: (folder / "plans.json").unlink(), "there is no plans.json, so this is not a model folder"),
        (lambda folder: (folder / "fold_0" / "checkpoint_final.pth").unlink(), "there are no weights"),
        (lambda folder: (folder / "dataset.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "dataset.json").write_text("{}"), 'lacks "channel_names", "labels"'),
    ],
)
def test_a_bad_model_folder_is_one_sentence_and_starts_nothing(
    logic, write_model, add_volume, workspace, spoil, sentence
):
    folder = write_model()
    spoil(folder)
    with pytest.raises(UserInputError, match=sentence) as refused:
        logic.segment([add_volume()], folder)
    assert str(folder) in str(refused.value)
    assert list_runs(workspace / "runs") == []


def test_a_model_folder_that_is_not_there_is_named(logic, add_volume, tmp_path):
    with pytest.raises(UserInputError, match="nowhere: the model folder does not exist"):
        logic.segment([add_volume()], tmp_path / "nowhere")


def test_too_few_volumes_are_counted_against_the_channels(logic, write_model, add_volume):
    with pytest.raises(UserInputError, match=r"needs 2 volumes \(T1, T2\), not 1"):
        logic.segment([add_volume()], write_model(("T1", "T2")))


def test_an_output_whose_other_segments_would_move_is_refused(host, logic, write_model, add_volume):
    mine = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    mine.GetSegmentation().AddEmptySegment("", "drawn by hand")
    transform = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    mine.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(UserInputError, match="mine holds other segments and is under another transform"):
        logic.segment([add_volume()], write_model(), mine)
