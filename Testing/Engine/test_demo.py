"""The demo's data are what its words say: left blocks to train on, right half held out; or one case in five."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.dataset.hold_out import hold_out_cases
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.pipeline.check import CheckOptions, check
from SegAutoPlanLib.pipeline.demo import DemoOptions, demo
from SegAutoPlanLib.workspace import Workspace

from ..Demo.icbm import build_icbm_dataset
from .balls import write_balls


@pytest.fixture(scope="module")
def icbm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("icbm")
    return build_icbm_dataset(folder / "raw", folder / "held_out")


def test_no_training_block_reaches_the_right_hemisphere(icbm):
    for case in load_dataset(icbm.dataset).cases:
        image = sitk.ReadImage(str(case.image_files[0]))
        corners = [image.TransformIndexToPhysicalPoint(index) for index in ((0, 0, 0), (63, 63, 63))]
        assert image.GetSize() == (64, 64, 64)
        assert all(left > -0.5 for left, _, _ in corners)  # ITK's x grows to the left; half a voxel is the midplane's


def test_what_is_held_out_is_the_right_hemisphere_of_the_whole_head(icbm):
    (head,) = icbm.held_out
    reference = sitk.ReadImage(str(head.reference_file))
    columns = range(reference.GetSize()[0])[head.left_out[2]]
    assert all(reference.TransformIndexToPhysicalPoint((i, 0, 0))[0] < 0 for i in columns)
    labels = sitk.GetArrayFromImage(reference)[head.left_out]
    assert set(np.unique(labels)) == {0, 1, 2}


def test_the_icbm_dataset_has_no_problems(icbm):
    workspace = Workspace.at(icbm.dataset.parent.parent)
    report = check(workspace, CheckOptions(icbm.dataset))
    assert report.ok, str(report)


def test_one_case_in_five_of_a_given_dataset_is_held_out_and_measured(tmp_path):
    source = write_balls(tmp_path / "elsewhere", cases=7)
    workspace = Workspace.at(tmp_path / "demo")
    outcome = demo(workspace, DemoOptions(source, epochs=1))
    assert list(outcome.dice) == ["ball_4"]
    trained_on = {case.identifier for case in load_dataset(workspace.raw / source.name).cases}
    assert trained_on == {f"ball_{n}" for n in range(7)} - {"ball_4"}
    assert "ball" in str(outcome)


def test_a_single_case_cannot_be_held_out(tmp_path):
    source = write_balls(tmp_path / "elsewhere", cases=1)
    with pytest.raises(UserInputError, match="single case"):
        hold_out_cases(source, tmp_path / "raw")


def test_holding_out_again_changes_nothing_and_another_dataset_in_the_way_is_left_alone(tmp_path):
    source = write_balls(tmp_path / "elsewhere", cases=5)
    first = hold_out_cases(source, tmp_path / "raw")
    assert hold_out_cases(source, tmp_path / "raw") == first
    mine = write_balls(tmp_path / "mine", cases=3)
    with pytest.raises(UserInputError, match="is already there"):
        hold_out_cases(source, tmp_path / "mine")
    assert len(load_dataset(mine).cases) == 3
