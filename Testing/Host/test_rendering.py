"""The off-screen picture shows the right thing in the right place."""

from __future__ import annotations

import numpy as np
import pytest

SIZE = 240


@pytest.fixture
def scene(host):
    """A grey ball, and in it, in the patient's left, front and top, a red box of 20 mm."""
    import slicer

    k, j, i = np.mgrid[:40, :48, :60]
    centred = np.stack([i - 29.5, j - 23.5, (k - 19.5) * 1.5])  # mm; voxels are 1 x 1 x 1.5 mm
    array = np.where(np.linalg.norm(centred, axis=0) < 22, 600, 0).astype(np.int16)
    ijk_to_ras = np.array([[-1, 0, 0, 29.5], [0, -1, 0, 23.5], [0, 0, 1.5, -29.25], [0, 0, 0, 1.0]])
    volume = slicer.util.addVolumeFromArray(array, ijkToRAS=ijk_to_ras, name="Ball")
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(1200, 600)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Box")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment = segmentation.GetSegmentation().AddEmptySegment("", "box", (1, 0, 0))
    ras = np.stack([-centred[0], -centred[1], centred[2]])
    inside = (ras[0] < 0) & (ras[0] > -10) & (ras[1] > 0) & (ras[1] < 10) & (ras[2] > 0) & (ras[2] < 10)
    slicer.util.updateSegmentBinaryLabelmapFromArray(inside.astype(np.uint8), segmentation, segment, volume)
    return volume, segmentation


def panes(path):
    """The four views of the picture as arrays, by name."""
    import vtk
    from vtk.util import numpy_support

    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    width, height, _ = reader.GetOutput().GetDimensions()
    flat = numpy_support.vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
    picture = flat.reshape(height, width, 3)[::-1].astype(int)
    return {
        "axial": picture[:SIZE, :SIZE],
        "3d": picture[:SIZE, -SIZE:],
        "coronal": picture[-SIZE:, :SIZE],
        "sagittal": picture[-SIZE:, -SIZE:],
    }


def red(pane):
    """Which pixels are reddish; the labels at the border are left out."""
    inner = pane[30:-30, 30:-30]
    return (inner[..., 0] - np.maximum(inner[..., 1], inner[..., 2])) > 60


def grey(pane):
    inner = pane[30:-30, 30:-30]
    return (np.ptp(inner, axis=2) < 12) & (inner[..., 0] > 60)


@pytest.fixture
def picture(scene, tmp_path):
    from Testing.Host import render_segmentation

    path = render_segmentation(*scene, tmp_path / "ü.png", centre_ras=(-5, 5, 5), view_size=(SIZE, SIZE))
    return panes(path)


@pytest.mark.parametrize(("view", "right", "down"), [("axial", 1, -1), ("coronal", 1, -1), ("sagittal", -1, -1)])
def test_the_box_lies_on_the_anatomical_side(picture, view, right, down):
    """Left of the patient is right in the picture, front is up (axial) or left (sagittal), top is up."""
    rows, columns = np.nonzero(red(picture[view]))
    rows_of_ball, columns_of_ball = np.nonzero(grey(picture[view]) | red(picture[view]))
    assert len(rows) > 50
    assert np.sign(columns.mean() - (columns_of_ball.min() + columns_of_ball.max()) / 2) == right
    assert np.sign(rows.mean() - (rows_of_ball.min() + rows_of_ball.max()) / 2) == down


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
def test_a_ball_is_round_whatever_the_voxels(picture, view):
    rows, columns = np.nonzero(grey(picture[view]) | red(picture[view]))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), rel=0.06)


def test_the_surface_stands_in_the_3d_view(picture):
    assert red(picture["3d"]).sum() > 500


def test_rendering_leaves_the_scene_as_it_was(scene, tmp_path):
    import slicer

    from Testing.Host import render_segmentation

    nodes = slicer.mrmlScene.GetNumberOfNodes()
    render_segmentation(*scene, tmp_path / "a.png", view_size=(SIZE, SIZE))
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert not scene[1].GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_slices_cut_the_segment_by_default(scene, tmp_path):
    from Testing.Host import render_segmentation

    path = render_segmentation(*scene, tmp_path / "a.png", view_size=(SIZE, SIZE))
    assert all(red(panes(path)[view]).sum() > 50 for view in ("axial", "coronal", "sagittal"))


def test_a_parent_transform_moves_image_and_segments_together(scene, tmp_path):
    import slicer

    from Testing.Host import render_segmentation

    before = panes(render_segmentation(*scene, tmp_path / "a.png", (-5, 5, 5), view_size=(SIZE, SIZE)))
    shift = np.eye(4)
    shift[:3, 3] = 40, 0, 0
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    for node in scene:
        node.SetAndObserveTransformNodeID(transform.GetID())
    after = panes(render_segmentation(*scene, tmp_path / "b.png", (35, 5, 5), view_size=(SIZE, SIZE)))
    assert np.mean(red(before["coronal"]) != red(after["coronal"])) < 0.002


def test_an_empty_segmentation_is_a_picture_of_the_volume_alone(scene, tmp_path):
    import slicer

    from Testing.Host import render_segmentation

    volume, segmentation = scene
    segment = segmentation.GetSegmentation().GetNthSegmentID(0)
    nothing = np.zeros((40, 48, 60), np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(nothing, segmentation, segment, volume)
    picture = panes(render_segmentation(volume, segmentation, tmp_path / "empty.png", view_size=(SIZE, SIZE)))
    assert grey(picture["axial"]).any()
    assert not red(picture["axial"]).any()
