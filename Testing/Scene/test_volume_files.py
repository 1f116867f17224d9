"""Volumes leave the scene with the geometry that other programs will read."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.errors import UserInputError

from .conftest import GEOMETRIES, SHAPE_KJI


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("compress", [True, False])
def test_every_voxel_lies_where_it_lay_in_slicer(ui, add_volume, tmp_path, geometry, ending, compress):
    matrix = GEOMETRIES[geometry]
    volume = add_volume(matrix)
    path = tmp_path / f"image{ending}"
    ui.volume_files.writeVolume(volume, path, compress)
    image = sitk.ReadImage(str(path))
    for ijk in ((0, 0, 0), (11, 0, 0), (0, 9, 0), (0, 0, 7), (3, 4, 5)):
        ras = (matrix @ [*ijk, 1])[:3]
        lps = image.TransformIndexToPhysicalPoint(ijk)
        np.testing.assert_allclose(np.array(lps) * [-1, -1, 1], ras, atol=1e-3)


def test_values_and_their_type_are_kept(ui, add_volume, tmp_path):
    array = np.arange(np.prod(SHAPE_KJI), dtype=np.int16).reshape(SHAPE_KJI) - 500
    ui.volume_files.writeVolume(add_volume(np.eye(4), array), tmp_path / "ct.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "ct.nii.gz"))
    assert image.GetPixelID() == sitk.sitkInt16
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)
    assert [file.name for file in tmp_path.iterdir()] == ["ct.nii.gz"], "a temporary file is left"


def test_a_parent_transform_is_not_baked_in(ui, add_volume, add_transform, tmp_path):
    matrix = GEOMETRIES["oblique"]
    volume = add_volume(matrix)
    volume.SetAndObserveTransformNodeID(add_transform(np.diag([1.0, -1.0, 1.0, 1.0])).GetID())
    ui.volume_files.writeVolume(volume, tmp_path / "local.nrrd")
    grid = ui.voxel_grid.VoxelGrid.ofImage(sitk.ReadImage(str(tmp_path / "local.nrrd")))
    np.testing.assert_allclose(grid.ijkToRas, matrix, atol=1e-6)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_grid_survives_itk_and_back(ui, geometry):
    grid = ui.voxel_grid.VoxelGrid((12, 10, 8), GEOMETRIES[geometry])
    image = sitk.Image([12, 10, 8], sitk.sitkUInt8)
    grid.placeOn(image)
    assert ui.voxel_grid.VoxelGrid.ofImage(image).matches(grid)


def test_sheared_axes_are_refused_with_the_volumes_name(ui, add_volume):
    matrix = np.eye(4)
    matrix[0, 2] = 0.3
    with pytest.raises(UserInputError, match=r"tilted CT: the axes .* not perpendicular"):
        ui.volume_files.checkChannels([add_volume(matrix, name="tilted CT")])


def test_channels_on_other_grids_are_refused_with_both_names(ui, add_volume):
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    with pytest.raises(UserInputError, match="T2 and T1 are on different voxel grids"):
        ui.volume_files.checkChannels([add_volume(np.eye(4), name="T1"), add_volume(shifted, name="T2")])


def test_channels_of_another_size_are_refused(ui, add_volume):
    small = np.zeros((4, 4, 4), np.float32)
    with pytest.raises(UserInputError, match="different voxel grids"):
        ui.volume_files.checkChannels([add_volume(np.eye(4)), add_volume(np.eye(4), small)])


def test_channels_under_other_transforms_are_refused(ui, add_volume, add_transform):
    moved = add_volume(np.eye(4), name="T2")
    moved.SetAndObserveTransformNodeID(add_transform(np.eye(4)).GetID())
    with pytest.raises(UserInputError, match="T2 and T1 are under different transforms"):
        ui.volume_files.checkChannels([add_volume(np.eye(4), name="T1"), moved])


def test_a_volume_without_an_image_is_refused(ui, host):
    empty = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty one")
    with pytest.raises(UserInputError, match="empty one: the volume holds no image"):
        ui.volume_files.checkChannels([empty])


def test_no_volume_is_refused(ui):
    with pytest.raises(UserInputError, match="No volume"):
        ui.volume_files.checkChannels([])


def test_a_photograph_ending_is_refused(ui):
    with pytest.raises(UserInputError, match=r"/models/x: .*\.png"):
        ui.volume_files.checkFileEnding(".png", "/models/x")


def test_a_truncated_result_file_is_named(ui, tmp_path):
    path = tmp_path / "case.nii.gz"
    path.write_bytes(b"\x1f\x8b")
    with pytest.raises(UserInputError, match=r"case\.nii\.gz: the label file cannot be read"):
        ui.volume_files.readLabels(path)
