"""Small real nodes, and the modules under test (they import `slicer`, so only once the host is up)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

SHAPE_KJI = (8, 10, 12)


def rotation(degrees: float, axis: int) -> np.ndarray:
    angle = np.deg2rad(degrees)
    matrix = np.eye(3)
    i, j = [other for other in range(3) if other != axis]
    matrix[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


def ijk_to_ras(spacing: tuple, origin: tuple, directions: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = directions * np.array(spacing)
    matrix[:3, 3] = origin
    return matrix


OBLIQUE = rotation(20, 0) @ rotation(-35, 1) @ rotation(10, 2)

GEOMETRIES = {
    "axial LPS, anisotropic": ijk_to_ras((0.7, 0.7, 5.0), (120, 80, -300), np.diag([-1.0, -1.0, 1.0])),
    "oblique": ijk_to_ras((0.9, 1.1, 2.5), (-12.5, 33.3, 7.7), OBLIQUE @ np.diag([-1.0, -1.0, 1.0])),
    "left-handed": ijk_to_ras((1.0, 2.0, 3.0), (5, -6, 7), np.diag([-1.0, 1.0, 1.0])),
    "left-handed oblique": ijk_to_ras((1.5, 0.5, 2.0), (0, 100, -50), OBLIQUE @ np.diag([1.0, 1.0, -1.0])),
}


@pytest.fixture
def ui(host) -> SimpleNamespace:
    """The modules of SegAutoPlanUI by name."""
    folder = str(REPOSITORY / "SegAutoPlan")
    if folder not in sys.path:
        sys.path.append(folder)
    names = (
        "scene.dataset_export",
        "scene.scene_bridge",
        "scene.segment_appearance",
        "scene.volume_files",
        "scene.voxel_grid",
    )
    return SimpleNamespace(
        **{name.rpartition(".")[2]: importlib.import_module(f"SegAutoPlanUI.{name}") for name in names}
    )


@pytest.fixture
def labels() -> np.ndarray:
    """[k, j, i] with two unequal boxes, 1 and 2, that no flip or permutation maps onto themselves."""
    array = np.zeros(SHAPE_KJI, np.uint8)
    array[2:5, 3:6, 4:9] = 1
    array[5:7, 1:3, 2:4] = 2
    return array


@pytest.fixture
def add_volume(host) -> Callable:
    def add(matrix: np.ndarray, array: np.ndarray | None = None, name: str = "volume"):
        if array is None:
            array = np.random.default_rng(0).normal(100, 20, SHAPE_KJI).astype(np.float32)
        return host.slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name=name)

    return add


@pytest.fixture
def add_transform(host) -> Callable:
    def add(matrix: np.ndarray):
        node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        node.SetMatrixTransformToParent(host.slicer.util.vtkMatrixFromArray(matrix))
        return node

    return add


@pytest.fixture
def add_segmentation(host) -> Callable:
    """A segmentation drawn on a volume: `{name: mask}`, as the Segment Editor leaves it."""

    def add(volume, masks: dict[str, np.ndarray], transform=None):
        slicer = host.slicer
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID() if transform is None else transform.GetID())
        for name, mask in masks.items():
            identifier = node.GetSegmentation().AddEmptySegment("", name)
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, identifier, volume)
        return node

    return add
