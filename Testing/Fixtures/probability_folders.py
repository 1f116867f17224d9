"""Writes, from seeds, two folders of probabilities as `predict` leaves them; used by the recorder and the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.images import read_segmentation
from SegAutoPlanLib.inference.predict import write_result
from SegAutoPlanLib.inference.segment import Segmentation
from SegAutoPlanLib.preprocessing import CaseGeometry
from SegAutoPlanLib.workspace import Workspace
from Testing.Engine.balls import NAME, plan_small, write_balls

LABELS = {"background": 0, "ball": 1, "core": 2}
KINDS = {
    "labels": {},
    "regions": {"labels": {"background": 0, "whole": [1, 2], "core": 2}, "regions_class_order": [1, 2]},
}
FOLDERS, CASES = ("a", "b"), ("one", "two")
SHAPE = (6, 8, 10)
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def write_folders(root: Path, kind: str) -> tuple[Path, Path]:
    """The two folders; some voxels have no single winner."""
    workspace = Workspace.at(root / "workspace")
    write_balls(workspace.raw, 2, **KINDS[kind])
    plan_small(workspace)
    for number, folder in enumerate(FOLDERS):
        target = root / folder
        target.mkdir()
        write_json(target / "dataset.json", read_json(workspace.raw / NAME / "dataset.json"))
        write_json(target / "plans.json", read_json(workspace.preprocessed / NAME / "nnUNetPlans.json"))
        for case, name in enumerate(CASES):
            probabilities = _probabilities(kind, 10 * case + number)
            labels = np.zeros(SHAPE, np.uint8)
            write_result(
                Segmentation(labels, probabilities, _geometry(target / "grid.nii.gz")),
                target,
                name,
                ".nii.gz",
                "SimpleITKIO",
            )
            (target / "grid.nii.gz").unlink()
    return root / "a", root / "b"


def _probabilities(kind: str, seed: int) -> np.ndarray:
    random = np.random.RandomState(seed)
    values = random.uniform(0, 1, (3 if kind == "labels" else 2, *SHAPE)).astype(np.float32)
    if kind == "labels":
        values /= values.sum(0)
        values[:, :2] = np.float32(1) / 3
        values[:, 2] = np.roll(np.array([0.25, 0.25, 0.5], np.float32), seed % 10)[:, None, None]
    else:
        values[:, :2] = 0.5
    return values


def _geometry(file: Path) -> CaseGeometry:
    image = sitk.GetImageFromArray(np.zeros(SHAPE, np.uint8))
    image.SetSpacing((1.1, 0.9, 2.0))
    image.SetOrigin((10.0, -4.0, 3.5))
    image.SetDirection(OBLIQUE)
    sitk.WriteImage(image, str(file))
    header = read_segmentation(file, "SimpleITKIO").header
    return CaseGeometry(header, (0, 1, 2), SHAPE, tuple((0, size) for size in SHAPE))
