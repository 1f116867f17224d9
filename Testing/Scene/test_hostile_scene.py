"""Nodes as a stranger's scene may name them: what is written can be read again, or nothing is written."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.dataset import check_dataset, load_dataset
from SegAutoPlanLib.dataset_json import Appearance
from SegAutoPlanLib.errors import UserInputError

from .conftest import GEOMETRIES, SHAPE_KJI

GRID = GEOMETRIES["oblique"]


@pytest.mark.parametrize("name", ["con", "x" * 3000, "../../x", "/etc/passwd", "a\nb", "<b>", "\u202e", " . "])
def test_a_volume_of_any_name_becomes_a_case(ui, add_volume, add_segmentation, labels, tmp_path, name):
    volume = add_volume(GRID, name=name)
    pairs = [(volume, add_segmentation(volume, {"a": labels == 1}))]
    folder = ui.dataset_export.exportDataset(pairs, tmp_path / "raw" / "Dataset001_X")
    assert check_dataset(load_dataset(folder), workers=1).errors == ()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("name", ["a\nb", "x" * 1000, "a\x1bb"])
def test_a_segment_whose_name_cannot_be_a_label_is_refused(ui, add_volume, add_segmentation, labels, tmp_path, name):
    volume = add_volume(GRID)
    pairs = [(volume, add_segmentation(volume, {name: labels == 1}))]
    with pytest.raises(UserInputError):
        ui.dataset_export.exportDataset(pairs, tmp_path / "raw" / "Dataset001_X")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_a_volume_without_a_place_is_refused(ui, add_volume, value):
    matrix = GRID.copy()
    matrix[:3, 0] = value
    with pytest.raises(UserInputError, match="no spacing or no place"):
        ui.volume_files.checkChannels([add_volume(matrix)])


@pytest.mark.parametrize("kind", ["float", "negative", "too large", "vector", "two dimensions"])
def test_a_result_that_is_no_label_map_is_refused(ui, tmp_path, kind):
    image = {
        "float": lambda: sitk.GetImageFromArray(np.full((3, 4, 5), 0.5, np.float32)),
        "negative": lambda: sitk.GetImageFromArray(np.full((3, 4, 5), -1, np.int16)),
        "too large": lambda: sitk.GetImageFromArray(np.full((3, 4, 5), 10**6, np.int32)),
        "vector": lambda: sitk.GetImageFromArray(np.zeros((3, 4, 5, 2), np.uint8), isVector=True),
        "two dimensions": lambda: sitk.GetImageFromArray(np.zeros((4, 5), np.uint8)),
    }[kind]()
    sitk.WriteImage(image, str(tmp_path / "case.nrrd"))
    with pytest.raises(UserInputError, match=r"case\.nrrd"):
        ui.volume_files.readLabels(tmp_path / "case.nrrd")


@pytest.mark.parametrize("terminology", ["~" * 4000, "a~b^c~%s%n", "^^^^", "|:|", "\\\"'<>&;|", "\U0001f600"])
def test_whatever_a_segment_is_called_and_means_it_is_made(host, ui, labels, terminology):
    names = ("<img src='file:///etc/passwd'>", "a|b:c~d^e", "W" * 400)
    node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    looks = {name: Appearance((1.0, 0.0, 0.5), terminology) for name in names}
    segments = [(name, (value,)) for value, name in enumerate(names, start=1)]
    grid = ui.voxel_grid.VoxelGrid(SHAPE_KJI[::-1], GRID)
    ui.scene_bridge.writeSegments(node, labels, grid, segments, looks)
    assert tuple(ui.scene_bridge.segmentNames(node)) == names
    first = node.GetSegmentation().GetNthSegment(0)
    assert ui.segment_appearance.appearanceOf(first).terminology == terminology
