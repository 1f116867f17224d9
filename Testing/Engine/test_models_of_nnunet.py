"""nnU-Net's exported archives segment here as there, and ours there as here."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.models import ModelFolder
from SegAutoPlanLib.pipeline.predict import PredictOptions, predict
from SegAutoPlanLib.workspace import Workspace

from .shared_models import exported, files_below, imported, inspected

REPOSITORY = Path(__file__).resolve().parents[2]
RECORDER = REPOSITORY / "Testing" / "Benchmarks" / "record_nnunet_models.py"
NNUNET_PYTHON = os.environ.get("NNUNET_PYTHON", "")
MODELS = {
    "plain": ("nnUNetTrainer", "instance"),
    "old_plans": ("nnUNetTrainerNoMirroring", "instance"),
    "residual": ("nnUNetTrainer_5epochs", "instance"),
    "batch_norm": ("nnUNetTrainerBN", "batch"),
    "slices": ("nnUNetTrainer", "instance"),
    "regions": ("nnUNetTrainer", "instance"),
}
MOST_TIES = 1e-3
"""Of the voxels: nnU-Net keeps logits in half precision, and these are noise."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    with tarfile.open(REPOSITORY / "Testing" / "Fixtures" / "models.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def labels_of(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def segmented(model: Path, folder: Path, output: Path) -> np.ndarray:
    options = PredictOptions(model, [folder / "image_0000.nii.gz"], output, device="cpu", mirroring=True)
    [file] = predict(Workspace.at(output.parent), options).files
    return labels_of(file)


@pytest.mark.parametrize("name", MODELS)
def test_what_nnunet_exported_is_told_imported_and_segments_as_there(recorded, tmp_path, name):
    trainer, normalization = MODELS[name]
    archive = recorded / name / "model.zip"
    [told] = inspected(archive).models
    assert told.problem == ""
    assert told.network.normalization == normalization
    assert {checkpoint.trainer for fold in told.folds for checkpoint in fold.checkpoints} == {trainer}
    assert [fold.validation_dice for fold in told.folds] == [0.5] * len(told.folds)
    [model] = imported(archive, tmp_path / "there").folders
    expected = labels_of(recorded / name / "image.nii.gz")
    assert len(np.unique(expected)) == 3
    found = segmented(model, recorded / name, tmp_path / "out")
    assert (found != expected).mean() <= MOST_TIES
    # What is passed on again is the same model.
    again = exported([model], tmp_path / "again.zip").archive
    [once_more] = imported(again, tmp_path / "further").folders
    np.testing.assert_array_equal(segmented(once_more, recorded / name, tmp_path / "again"), found)


def test_the_fold_of_all_cases_and_several_folds_are_kept(recorded, tmp_path):
    [model] = imported(recorded / "plain" / "model.zip", tmp_path).folders
    assert [fold.name for fold in ModelFolder.read(model).folds] == ["0", "1", "all"]
    assert "fold_0/progress.png" in files_below(model)


@pytest.mark.skipif(not NNUNET_PYTHON, reason="NOT TESTED: set NNUNET_PYTHON to an interpreter with nnunetv2")
@pytest.mark.parametrize("name", MODELS)
def test_what_is_exported_here_nnunet_installs_and_segments_the_same(recorded, tmp_path, name):
    [model] = imported(recorded / name / "model.zip", tmp_path / "here").folders
    archive = exported([model], tmp_path / "ours.zip").archive
    output = tmp_path / "image.nii.gz"
    place = "/".join(model.parts[-2:])
    done = subprocess.run(
        [NNUNET_PYTHON, str(RECORDER), "--install", str(archive), place,
         str(recorded / name / "image_0000.nii.gz"), str(output)],
        env={**os.environ, "nnUNet_n_proc_DA": "0", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_array_equal(labels_of(output), labels_of(recorded / name / "image.nii.gz"))
