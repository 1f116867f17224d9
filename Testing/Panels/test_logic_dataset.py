"""SegAutoPlanLogic on datasets, with the real engine as a process of its own."""

from __future__ import annotations

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.runs import list_runs


@pytest.fixture
def logic(module):
    return module.SegAutoPlan.SegAutoPlanLogic()


@pytest.fixture
def dataset(host, logic, workspace):
    """Three small drawn cases, exported."""
    slicer = host.slicer
    pairs = []
    for number in range(3):
        array = np.random.default_rng(number).normal(100, 10, (20, 24, 28)).astype(np.float32)
        mask = np.zeros(array.shape, np.uint8)
        mask[5:12, 6:14, 7:15] = 1
        array[mask > 0] += 60
        volume = slicer.util.addVolumeFromArray(array, ijkToRAS=np.diag([-1.0, -1.0, 2.0, 1.0]), name=f"case {number}")
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        identifier = segmentation.GetSegmentation().AddEmptySegment("", "block")
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, identifier, volume)
        pairs.append((volume, segmentation))
    return logic.exportDataset(pairs, workspace / "raw" / "Dataset001_Blocks")


def test_a_sound_dataset_has_no_errors(logic, dataset):
    report = logic.checkDataset(dataset)
    assert report.ok
    assert report.case_count == 3


def test_a_missing_label_file_is_in_the_report(logic, dataset):
    (dataset / "labelsTr" / "case_1.nii.gz").unlink()
    report = logic.checkDataset(dataset)
    assert not report.ok
    assert "case_1" in str(report)


def test_the_plan_is_read_back_and_explains_itself(logic, dataset, workspace):
    plan = logic.plan(dataset)
    assert "3d_fullres" in plan.configurations
    assert "patch" in str(plan).lower()
    assert (workspace / "preprocessed" / "Dataset001_Blocks" / "nnUNetPlans.json").is_file()


def test_a_dataset_that_is_not_there_is_named(logic, workspace):
    with pytest.raises(UserInputError, match="Dataset009_Nowhere"):
        logic.plan(workspace / "raw" / "Dataset009_Nowhere")


def test_training_starts_at_once_with_what_was_asked(host, logic, dataset, workspace):
    run = logic.startTraining(dataset, "3d_fullres", fold=0, options=["--recipe", "short"])
    try:
        arguments = list(run.description().arguments)
        assert arguments[:4] == ["train", str(dataset), "3d_fullres", "0"]
        assert arguments[4:6] == ["--recipe", "short"]
        assert arguments[6:] == ["--workspace", str(workspace)]
        assert run.path in [run.path for run in list_runs(workspace / "runs")]
        host.process_events(until=lambda: run.state().status == "running", timeout_s=30)
        run.request_stop()
        assert logic.waitFor(run, 60).status == "stopped"
    finally:
        run.kill()


def test_the_self_test_that_users_run_in_slicer_passes_here(module):
    module.SegAutoPlan.SegAutoPlanTest().runTest()


def test_drawn_cases_train_a_model_that_segments_them_with_their_names_and_colours(host, logic, dataset, workspace):
    """The whole way through the logic, with the real engine; too short a training to ask for more than the form."""
    import json

    pytest.importorskip("torch", reason="NOT TESTED: training needs torch")
    pytest.importorskip("batchgenerators", reason="NOT TESTED: training needs batchgenerators")
    description = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    description["segments"]["block"]["color"] = [0.1, 0.2, 0.7]
    (dataset / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    options = ["--epochs", "1", "--iterations", "2", "--device", "cpu"]
    run = logic.startTraining(dataset, "3d_fullres", fold=0, options=options)
    state = logic.waitFor(run, 120)
    assert state.status == "finished", state.message or run.log_tail()
    volume = host.slicer.util.getNode("case 0")
    outcomes = []
    run = logic.segment([volume], state.result["model"], onFinished=lambda *outcome: outcomes.append(outcome))
    assert logic.waitFor(run, 120).status == "finished", run.log_tail()
    [(segmentation, error)] = outcomes
    assert error is None
    segment = segmentation.GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "block"
    np.testing.assert_allclose(segment.GetColor(), (0.1, 0.2, 0.7))
