"""Segments become the labels they are called by, wherever the nodes stand, and labels become the same segments."""

from __future__ import annotations

import numpy as np
import pytest

from SegAutoPlanLib.dataset_json import Appearance, appearances_of
from SegAutoPlanLib.errors import UserInputError

from .conftest import GEOMETRIES, SHAPE_KJI

SEGMENTS = (("left", (1,)), ("right", (2,)))
TURNED = np.array([[0.0, -1, 0, 10], [1, 0, 0, -20], [0, 0, 1, 30], [0, 0, 0, 1]])


@pytest.fixture
def looks():
    return {
        "left": Appearance((0.1, 0.2, 0.3), "ctx~cat^c^a~type^t^b~^^~ctx~^^~^^"),
        "right": Appearance((0.9, 0.5, 0.25)),
    }


@pytest.fixture
def empty_segmentation(host):
    return host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_segments_drawn_on_a_volume_come_out_voxel_for_voxel(ui, add_volume, add_segmentation, labels, geometry):
    volume = add_volume(GEOMETRIES[geometry])
    segmentation = add_segmentation(volume, {"left": labels == 1, "right": labels == 2})
    array = ui.scene_bridge.labelsFromSegmentation(segmentation, volume, {"background": 0, "left": 1, "right": 2})
    np.testing.assert_array_equal(array, labels)
    assert array.dtype == np.uint8


def test_values_are_pinned_by_name_not_by_order(ui, add_volume, add_segmentation, labels):
    volume = add_volume(np.eye(4))
    segmentation = add_segmentation(volume, {"right": labels == 2, "left": labels == 1, "skipped": labels == 0})
    array = ui.scene_bridge.labelsFromSegmentation(segmentation, volume, {"left": 5, "absent": 2, "right": 300})
    np.testing.assert_array_equal(array, np.array([0, 5, 300])[labels])
    assert array.dtype == np.int16


def test_of_overlapping_segments_the_later_label_wins(ui, add_volume, add_segmentation, labels):
    volume = add_volume(np.eye(4))
    organ, lesion = labels > 0, labels == 2
    segmentation = add_segmentation(volume, {"lesion": lesion, "organ": organ})
    array = ui.scene_bridge.labelsFromSegmentation(segmentation, volume, {"organ": 1, "lesion": 2})
    np.testing.assert_array_equal(array, labels)


def test_a_segmentation_drawn_on_another_grid_lands_in_place(ui, host, add_volume, add_segmentation, labels):
    """Drawn on a grid twice as fine and cropped; asked for on the volume's own grid."""
    matrix = GEOMETRIES["oblique"]
    volume = add_volume(matrix)
    fine = matrix @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] += matrix[:3, :3] @ [-0.25, -0.25, -0.25]  # voxel edges, not centres, coincide
    doubled = labels.repeat(2, 0).repeat(2, 1).repeat(2, 2)[:, 2:, :]
    fine[:3, 3] += fine[:3, :3] @ [0, 2, 0]
    fine_volume = add_volume(fine, np.zeros(doubled.shape, np.uint8))
    segmentation = add_segmentation(fine_volume, {"left": doubled == 1, "right": doubled == 2})
    array = ui.scene_bridge.labelsFromSegmentation(segmentation, volume, {"left": 1, "right": 2})
    # Centres of coarse voxels are corners of fine ones: rounding may move a face by one voxel at most.
    assert array.shape == SHAPE_KJI
    for value in (1, 2):
        dice = 2 * ((array == value) & (labels == value)).sum() / ((array == value).sum() + (labels == value).sum())
        assert dice > 0.6
        centre = np.argwhere(array == value).mean(0) - np.argwhere(labels == value).mean(0)
        assert np.abs(centre).max() <= 0.5


def test_both_under_one_transform_is_the_same_as_none(ui, add_volume, add_segmentation, add_transform, labels):
    volume = add_volume(GEOMETRIES["left-handed oblique"])
    volume.SetAndObserveTransformNodeID(add_transform(TURNED).GetID())
    segmentation = add_segmentation(volume, {"left": labels == 1, "right": labels == 2})
    array = ui.scene_bridge.labelsFromSegmentation(segmentation, volume, {"left": 1, "right": 2})
    np.testing.assert_array_equal(array, labels)


def test_where_only_the_volume_is_transformed_the_world_decides(
    ui, add_volume, add_segmentation, add_transform, labels
):
    volume = add_volume(np.diag([-1.0, -1.0, 2.0, 1.0]))
    transform = add_transform(TURNED)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    segmentation = add_segmentation(volume, {"left": labels == 1, "right": labels == 2})
    segmentation.HardenTransform()
    assert segmentation.GetTransformNodeID() is None
    array = ui.scene_bridge.labelsFromSegmentation(segmentation, volume, {"left": 1, "right": 2})
    np.testing.assert_array_equal(array, labels)


def test_an_empty_segmentation_is_all_background(ui, add_volume, empty_segmentation):
    array = ui.scene_bridge.labelsFromSegmentation(empty_segmentation, add_volume(np.eye(4)), {"left": 1})
    assert array.shape == SHAPE_KJI
    assert not array.any()


def test_two_segments_of_one_name_are_refused(ui, add_volume, add_segmentation, labels):
    volume = add_volume(np.eye(4))
    segmentation = add_segmentation(volume, {"left": labels == 1})
    segmentation.GetSegmentation().AddEmptySegment("", "left")
    with pytest.raises(UserInputError, match='two segments are called "left"'):
        ui.scene_bridge.labelsFromSegmentation(segmentation, volume, {"left": 1})


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_label_array_becomes_the_segments_it_means(ui, host, add_volume, empty_segmentation, labels, looks, geometry):
    volume = add_volume(GEOMETRIES[geometry])
    grid = ui.voxel_grid.VoxelGrid.ofVolume(volume)
    ui.scene_bridge.writeSegments(empty_segmentation, labels.astype(np.int64), grid, SEGMENTS, looks)
    again = ui.scene_bridge.labelsFromSegmentation(empty_segmentation, volume, {"left": 1, "right": 2})
    np.testing.assert_array_equal(again, labels)


def test_colours_and_terminology_come_with_the_segments(ui, add_volume, empty_segmentation, labels, looks):
    grid = ui.voxel_grid.VoxelGrid.ofVolume(add_volume(np.eye(4)))
    ui.scene_bridge.writeSegments(empty_segmentation, labels, grid, SEGMENTS, looks)
    segmentation = empty_segmentation.GetSegmentation()
    found = {
        segmentation.GetSegment(i).GetName(): ui.segment_appearance.appearanceOf(segmentation.GetSegment(i))
        for i in segmentation.GetSegmentIDs()
    }
    assert found["left"] == looks["left"]
    np.testing.assert_allclose(found["right"].color, looks["right"].color)


def test_a_segment_without_a_voxel_is_there_and_empty(ui, host, add_volume, empty_segmentation, labels, looks):
    volume = add_volume(np.eye(4))
    grid = ui.voxel_grid.VoxelGrid.ofVolume(volume)
    ui.scene_bridge.writeSegments(empty_segmentation, np.where(labels == 2, 2, 0), grid, SEGMENTS, looks)
    assert list(ui.scene_bridge.segmentNames(empty_segmentation)) == ["left", "right"]
    again = ui.scene_bridge.labelsFromSegmentation(empty_segmentation, volume, {"left": 1, "right": 2})
    np.testing.assert_array_equal(again, np.where(labels == 2, 2, 0))


@pytest.mark.parametrize("seed", range(5))
def test_any_subset_of_many_labels_lands_in_the_right_segments(ui, add_volume, empty_segmentation, seed):
    volume = add_volume(np.eye(4))
    random = np.random.default_rng(seed)
    occurring = random.choice(np.arange(1, 20), size=6, replace=False)
    array = random.choice([0, *occurring], size=SHAPE_KJI).astype(np.uint8)
    values = {f"segment {value}": int(value) for value in random.permutation(np.arange(1, 20))}
    segments = tuple((name, (value,)) for name, value in values.items())
    grid = ui.voxel_grid.VoxelGrid.ofVolume(volume)
    ui.scene_bridge.writeSegments(empty_segmentation, array, grid, segments, appearances_of(values, None))
    again = ui.scene_bridge.labelsFromSegmentation(empty_segmentation, volume, values)
    np.testing.assert_array_equal(again, array)


def test_regions_overlap_as_they_do_in_the_label_scheme(ui, add_volume, empty_segmentation, labels):
    volume = add_volume(np.eye(4))
    grid = ui.voxel_grid.VoxelGrid.ofVolume(volume)
    regions = (("whole", (1, 2)), ("core", (2,)))
    looks = appearances_of(("whole", "core"), None)
    ui.scene_bridge.writeSegments(empty_segmentation, labels, grid, regions, looks)
    for name, expected in (("whole", labels > 0), ("core", labels == 2)):
        mask = ui.scene_bridge.labelsFromSegmentation(empty_segmentation, volume, {name: 1})
        np.testing.assert_array_equal(mask, expected)


def test_other_segments_of_the_node_stay_and_same_names_are_replaced(ui, add_volume, add_segmentation, labels, looks):
    volume = add_volume(GEOMETRIES["oblique"])
    drawn = np.zeros(SHAPE_KJI, bool)
    drawn[0, :4, :4] = True
    segmentation = add_segmentation(volume, {"my own": drawn, "left": labels == 0})
    grid = ui.voxel_grid.VoxelGrid.ofVolume(volume)
    ui.scene_bridge.writeSegments(segmentation, labels, grid, SEGMENTS, looks)
    assert set(ui.scene_bridge.segmentNames(segmentation)) == {"my own", "left", "right"}
    values = {"my own": 3, "left": 1, "right": 2}
    array = ui.scene_bridge.labelsFromSegmentation(segmentation, volume, values)
    np.testing.assert_array_equal(array, np.where(drawn, 3, labels))


def test_a_result_stands_under_the_volumes_transform_at_the_volumes_place(
    ui, host, add_volume, add_transform, empty_segmentation, labels, looks
):
    volume = add_volume(GEOMETRIES["oblique"])
    transform = add_transform(TURNED)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    ui.scene_bridge.placeBeside(empty_segmentation, volume)
    grid = ui.voxel_grid.VoxelGrid.ofVolume(volume)
    ui.scene_bridge.writeSegments(empty_segmentation, labels, grid, SEGMENTS, looks)
    assert empty_segmentation.GetTransformNodeID() == transform.GetID()
    # In the world: a voxel of "left" is where the transformed volume has it.
    bounds = np.zeros(6)
    identifier = ui.scene_bridge.segmentNames(empty_segmentation)["left"]
    centre_ras = np.array(empty_segmentation.GetSegmentCenterRAS(identifier))
    kji = np.argwhere(labels == 1)
    middle = [*((kji.min(0) + kji.max(0)) / 2)[::-1], 1]
    np.testing.assert_allclose(centre_ras, (TURNED @ GEOMETRIES["oblique"] @ middle)[:3], atol=1e-3)
    empty_segmentation.GetRASBounds(bounds)
    assert np.isfinite(bounds).all()


def test_no_helper_node_stays_in_the_scene(ui, host, add_volume, add_segmentation, labels, looks):
    volume = add_volume(np.eye(4))
    segmentation = add_segmentation(volume, {"left": labels == 1})
    host.slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(host.slicer.mrmlScene)  # there in every Slicer
    before = {node.GetID() for node in host.slicer.util.getNodesByClass("vtkMRMLNode")}
    ui.scene_bridge.labelsFromSegmentation(segmentation, volume, {"left": 1})
    grid = ui.voxel_grid.VoxelGrid.ofVolume(volume)
    ui.scene_bridge.writeSegments(segmentation, labels, grid, SEGMENTS, looks)
    assert {node.GetID() for node in host.slicer.util.getNodesByClass("vtkMRMLNode")} == before
