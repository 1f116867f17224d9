"""Files in and out through ``slicer.util``: real storage nodes, exact geometry, scenes that open again."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

# Oblique and anisotropic: what goes wrong first when geometry is lost. Right- and left-handed.
IJK_TO_RAS = np.array([[0.6, 0.0, 1.6, -10.0], [0.8, 0.0, -1.2, 20.0], [0.0, 3.0, 0.0, 5.5], [0, 0, 0, 1]])
LEFT_HANDED = IJK_TO_RAS @ np.diag([1, 1, -1, 1])
VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


@pytest.fixture
def volume(host):
    import slicer

    return slicer.util.addVolumeFromArray(VOXELS, ijkToRAS=IJK_TO_RAS, name="Head")


@pytest.fixture
def segmentation(volume):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, colour, where in (("tumour", (1, 0, 0), np.s_[1:3, 1:4, 1:3]), ("node", (0, 0.5, 1), np.s_[0, 0, :])):
        segment = node.GetSegmentation().AddEmptySegment("", name, colour)
        mask = np.zeros((4, 5, 6), np.uint8)
        mask[where] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)
    return node


def matrix_of(volume):
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def mask_of(segmentation, name, volume):
    import slicer

    segment = segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, volume)


@pytest.mark.parametrize("filename", ["a.nii.gz", "a.nrrd", "ä b.mha"])
def test_an_exported_volume_loads_with_the_same_voxels_and_geometry(volume, tmp_path, filename):
    import slicer

    assert slicer.util.exportNode(volume, str(tmp_path / filename), {})
    again = slicer.util.loadVolume(tmp_path / filename, {})
    assert again.GetName() == filename.partition(".")[0]
    assert np.array_equal(slicer.util.arrayFromVolume(again), slicer.util.arrayFromVolume(volume))
    assert np.allclose(matrix_of(again), IJK_TO_RAS, atol=1e-5)


def test_a_left_handed_volume_comes_back_with_each_voxel_in_its_place(host, tmp_path):
    import slicer

    volume = slicer.util.addVolumeFromArray(VOXELS, ijkToRAS=LEFT_HANDED)
    slicer.util.exportNode(volume, str(tmp_path / "a.nrrd"), {})
    again = slicer.util.loadVolume(tmp_path / "a.nrrd", {})
    array, to_ijk = slicer.util.arrayFromVolume(again), np.linalg.inv(matrix_of(again))
    for k, j, i in np.ndindex(VOXELS.shape):  # Slicer's reader turns the grid right-handed
        there = np.rint(to_ijk @ LEFT_HANDED @ [i, j, k, 1]).astype(int)
        assert array[there[2], there[1], there[0]] == VOXELS[k, j, i]


def test_an_export_leaves_the_scene_as_it_was(volume, tmp_path):
    import slicer

    before = [slicer.mrmlScene.GetNthNode(i).GetID() for i in range(slicer.mrmlScene.GetNumberOfNodes())]
    slicer.util.exportNode(volume, str(tmp_path / "a.nrrd"), {})
    after = [slicer.mrmlScene.GetNthNode(i).GetID() for i in range(slicer.mrmlScene.GetNumberOfNodes())]
    assert after == before
    assert volume.GetStorageNode() is None


def test_a_world_export_applies_the_parent_transform(volume, tmp_path):
    import slicer
    import vtk

    shift = np.eye(4)
    shift[:3, 3] = 7, -3, 2
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    for world, expected in ((False, IJK_TO_RAS), (True, shift @ IJK_TO_RAS)):
        slicer.util.exportNode(volume, str(tmp_path / "a.nrrd"), {}, world=world)
        again = slicer.util.loadVolume(tmp_path / "a.nrrd", {})
        assert np.allclose(matrix_of(again), expected, atol=1e-5)
    assert isinstance(volume.GetParentTransformNode(), vtk.vtkObject)


def test_a_label_map_loads_as_one(volume, tmp_path):
    import slicer

    slicer.util.exportNode(volume, str(tmp_path / "labels.nii.gz"), {})
    node = slicer.util.loadLabelVolume(tmp_path / "labels.nii.gz", {})
    assert node.GetClassName() == "vtkMRMLLabelMapVolumeNode"


def test_a_saved_segmentation_loads_with_names_colours_and_voxels(segmentation, volume, tmp_path):
    import slicer

    assert slicer.util.saveNode(segmentation, str(tmp_path / "result.seg.nrrd"), {})
    again = slicer.util.loadSegmentation(tmp_path / "result.seg.nrrd", {})
    segments = again.GetSegmentation()
    assert [segments.GetNthSegment(i).GetName() for i in range(2)] == ["tumour", "node"]
    assert segments.GetNthSegment(1).GetColor() == pytest.approx((0, 0.5, 1), abs=0.01)
    for name in ("tumour", "node"):
        assert np.array_equal(mask_of(again, name, volume), mask_of(segmentation, name, volume))


def test_a_missing_file_is_a_sentence(host, tmp_path):
    import slicer

    with pytest.raises(RuntimeError, match=r"nothing\.nrrd does not exist"):
        slicer.util.loadVolume(tmp_path / "nothing.nrrd", {})


def test_a_file_type_that_the_host_does_not_read_is_a_sentence(host, tmp_path):
    import slicer

    (tmp_path / "a.xyz").write_text("?")
    with pytest.raises(RuntimeError, match="does not read NoFile"):
        slicer.util.loadNodeFromFile(tmp_path / "a.xyz", None, {})


@pytest.mark.parametrize("filename", ["scene.mrb", "folder"])
def test_a_saved_scene_opens_again_with_all_its_data(segmentation, volume, tmp_path, filename):
    import slicer

    from Testing.Host import save_scene

    before = {name: mask_of(segmentation, name, volume) for name in ("tumour", "node")}
    voxels = slicer.util.arrayFromVolume(volume).copy()
    slicer.util.setSliceViewerLayers(background=volume)
    save_scene(tmp_path / "ö out" / filename)
    saved = tmp_path / "ö out" / filename
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(saved if saved.is_file() else next(saved.glob("*.mrml"))), {})
    again = slicer.util.getNode("Head")
    assert np.array_equal(slicer.util.arrayFromVolume(again), voxels)
    assert np.allclose(matrix_of(again), IJK_TO_RAS, atol=1e-5)
    for name, mask in before.items():
        assert np.array_equal(mask_of(slicer.util.getNode("Result"), name, again), mask)
    shown = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode().GetBackgroundVolumeID()
    assert shown == again.GetID()


def test_a_saved_scene_leaves_the_open_one_as_it_was(volume, tmp_path):
    import slicer

    from Testing.Host import save_scene

    save_scene(tmp_path / "scene.mrb")
    assert volume.GetImageData() is not None
    assert slicer.util.getNode("Head") is volume


def test_a_scene_file_names_slicers_version_and_no_absolute_path(segmentation, volume, tmp_path):
    from Testing.Host import save_scene

    save_scene(tmp_path / "scene.mrb")
    with zipfile.ZipFile(tmp_path / "scene.mrb") as archive:
        names = archive.namelist()
        scene = next(name for name in names if name.endswith(".mrml"))
        text = archive.read(scene).decode()
    assert str(tmp_path) not in text
    assert 'version="Slicer 5.' in text
    assert {Path(name).suffix for name in names if "/Data/" in name and not name.endswith("/")} == {".nrrd"}


def test_a_scene_without_its_data_is_refused(host, tmp_path):
    from Testing.Host import save_scene

    with pytest.raises(ValueError, match="lack the data"):
        save_scene(tmp_path / "scene.mrml")


def test_slicer_util_saves_the_scene_too(volume, tmp_path):
    import slicer

    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    assert (tmp_path / "scene.mrb").stat().st_size > 0
