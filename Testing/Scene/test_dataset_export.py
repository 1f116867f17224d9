"""Drawn cases become a raw dataset that the engine, and nnU-Net, accept; or nothing at all."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.dataset import check_dataset, load_dataset
from SegAutoPlanLib.dataset_json import appearances_of
from SegAutoPlanLib.errors import UserInputError

from .conftest import GEOMETRIES


@pytest.fixture
def pairs(add_volume, add_segmentation, labels):
    """Two cases on different grids; the second was drawn in another order and lacks a segment."""
    first = add_volume(GEOMETRIES["oblique"], name="Müller, Änne (T1)")
    second = add_volume(GEOMETRIES["left-handed"], name="case 2")
    return [
        (first, add_segmentation(first, {"left": labels == 1, "right": labels == 2})),
        (second, add_segmentation(second, {"ignore": labels == 2, "right": labels == 1})),
    ]


def description(folder) -> dict:
    return json.loads((folder / "dataset.json").read_text(encoding="utf-8"))


def test_the_engine_finds_nothing_wrong_with_it(ui, pairs, tmp_path):
    folder = ui.dataset_export.exportDataset(pairs, tmp_path / "raw" / "Dataset001_Sides")
    report = check_dataset(load_dataset(folder), workers=1)
    assert report.errors == ()
    assert report.case_count == 2


def test_label_values_are_the_same_in_every_case(ui, pairs, labels, tmp_path):
    folder = ui.dataset_export.exportDataset(pairs, tmp_path / "Dataset001_Sides")
    assert description(folder)["labels"] == {"background": 0, "left": 1, "right": 2, "ignore": 3}
    names = sorted(file.name for file in (folder / "labelsTr").iterdir())
    assert names == ["M_ller_nne_T1.nii.gz", "case_2.nii.gz"]
    first, second = (sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labelsTr" / name))) for name in names)
    np.testing.assert_array_equal(first, labels)
    np.testing.assert_array_equal(second, np.array([0, 2, 3])[labels])


def test_images_and_labels_share_the_volumes_geometry(ui, pairs, tmp_path):
    folder = ui.dataset_export.exportDataset(pairs, tmp_path / "Dataset001_Sides", fileEnding=".nrrd")
    image = sitk.ReadImage(str(folder / "imagesTr" / "M_ller_nne_T1_0000.nrrd"))
    label = sitk.ReadImage(str(folder / "labelsTr" / "M_ller_nne_T1.nrrd"))
    grid = ui.voxel_grid.VoxelGrid.ofVolume(pairs[0][0])
    for written in (image, label):
        assert ui.voxel_grid.VoxelGrid.ofImage(written).matches(grid)


def test_colours_and_terminology_are_kept_for_the_prediction(ui, pairs, tmp_path):
    segmentation = pairs[0][1].GetSegmentation()
    segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("left"))
    segment.SetColor(0.25, 0.5, 0.75)
    segment.SetTerminology("ctx~SCT^1^Tissue~SCT^2^Left~^^~ctx~^^~^^")
    folder = ui.dataset_export.exportDataset(pairs, tmp_path / "Dataset001_Sides")
    kept = description(folder)["segments"]
    assert set(kept) == {"left", "right"}
    assert kept["left"] == {"color": [0.25, 0.5, 0.75], "terminology": "ctx~SCT^1^Tissue~SCT^2^Left~^^~ctx~^^~^^"}
    looks = appearances_of(["left"], kept)
    assert looks["left"] == ui.segment_appearance.appearanceOf(segment)


def test_several_channels_are_numbered_files_with_names(ui, add_volume, add_segmentation, labels, tmp_path):
    channels = [add_volume(np.eye(4), name="t1"), add_volume(np.eye(4), name="flair")]
    pair = (channels, add_segmentation(channels[0], {"left": labels == 1}))
    folder = ui.dataset_export.exportDataset([pair], tmp_path / "Dataset001_Two", channelNames=["T1", "FLAIR"])
    assert description(folder)["channel_names"] == {"0": "T1", "1": "FLAIR"}
    names = sorted(file.name for file in (folder / "imagesTr").iterdir())
    assert names == ["t1_0000.nii.gz", "t1_0001.nii.gz"]


def test_volumes_of_one_name_are_two_cases(ui, add_volume, add_segmentation, labels, tmp_path):
    volumes = [add_volume(np.eye(4), name=name) for name in ("brain", "Brain")]
    pairs = [(volume, add_segmentation(volume, {"left": labels == 1})) for volume in volumes]
    folder = ui.dataset_export.exportDataset(pairs, tmp_path / "Dataset001_Twice")
    assert sorted(file.name for file in (folder / "labelsTr").iterdir()) == ["Brain_v2.nii.gz", "brain.nii.gz"]


def test_a_folder_with_something_in_it_is_left_alone(ui, pairs, tmp_path):
    folder = tmp_path / "Dataset001_Sides"
    folder.mkdir()
    (folder / "thesis.docx").touch()
    with pytest.raises(UserInputError, match="not empty"):
        ui.dataset_export.exportDataset(pairs, folder)
    assert [file.name for file in folder.iterdir()] == ["thesis.docx"]


def test_a_name_that_nnunet_would_not_find_is_refused(ui, pairs, tmp_path):
    with pytest.raises(UserInputError, match="DatasetXXX_Name"):
        ui.dataset_export.exportDataset(pairs, tmp_path / "livers")


def test_a_case_that_cannot_be_written_leaves_nothing(ui, pairs, tmp_path):
    pairs[1][1].GetSegmentation().AddEmptySegment("", "right")  # a second "right"
    with pytest.raises(UserInputError, match='two segments are called "right"'):
        ui.dataset_export.exportDataset(pairs, tmp_path / "Dataset001_Sides")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_nothing(ui, pairs, tmp_path, monkeypatch):
    def disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ui.dataset_export, "writeArray", disk_full)
    with pytest.raises(OSError, match="No space"):
        ui.dataset_export.exportDataset(pairs, tmp_path / "Dataset001_Sides")
    assert list(tmp_path.iterdir()) == []


def test_cases_with_different_channel_counts_are_refused(ui, pairs, add_volume, tmp_path):
    two = [add_volume(np.eye(4), name="x"), add_volume(np.eye(4), name="y")]
    with pytest.raises(UserInputError, match="x: the case has 2 volumes but M_ller_nne_T1 has 1"):
        ui.dataset_export.exportDataset([*pairs, (two, pairs[0][1])], tmp_path / "Dataset001_Sides")


def test_no_segment_at_all_is_refused(ui, host, add_volume, tmp_path):
    empty = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    with pytest.raises(UserInputError, match="no segment to learn"):
        ui.dataset_export.exportDataset([(add_volume(np.eye(4)), empty)], tmp_path / "Dataset001_Sides")


def test_no_case_at_all_is_refused(ui, tmp_path):
    with pytest.raises(UserInputError, match="nothing to export"):
        ui.dataset_export.exportDataset([], tmp_path / "Dataset001_Sides")
