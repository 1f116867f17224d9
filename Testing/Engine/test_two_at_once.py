"""Two never train, preprocess or import the same thing at the same time, and nobody waits who need not."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.locks import exclusive
from SegAutoPlanLib.models import find_models
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, ball_workspace

FOLD = "nnUNetTrainer__nnUNetPlans__3d_fullres"
DATA = "nnUNetPlans_3d_fullres"
SHORT = ["--recipe", "short", "--epochs", "1", "--iterations", "1", "--device", "cpu"]


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return ball_workspace(tmp_path, cases=5)


def run(capsys, workspace: Workspace, *arguments: str) -> tuple[int, str]:
    code = main([*arguments, "--workspace", str(workspace.raw.parent)])
    return code, capsys.readouterr().err


def lock_of_fold(workspace: Workspace, fold: int) -> Path:
    return workspace.results / NAME / FOLD / f"fold_{fold}" / ".training.lock"


def lock_of_data(workspace: Workspace) -> Path:
    return workspace.preprocessed / NAME / DATA / ".preprocessing.lock"


def require_refused(code: int, error: str) -> None:
    (sentence,) = [line for line in error.splitlines() if line.startswith("segautoplan: ")]
    assert code == 2
    assert f"goes on already: process {os.getpid()} on " in sentence
    assert "Traceback" not in error


@pytest.mark.parametrize("more", [[], ["--resume"], ["--validate-only"]])
def test_a_second_training_of_a_fold_is_refused_before_anything_is_prepared(capsys, workspace, more):
    with exclusive(lock_of_fold(workspace, 0), "training"):
        require_refused(*run(capsys, workspace, "train", NAME, "3d_fullres", "0", *SHORT, *more))
        assert not lock_of_data(workspace).parent.exists()
    assert not workspace.results.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: several processes train on Linux only")
def test_a_second_training_in_several_processes_is_refused_before_they_start(capsys, workspace):
    train = ["train", NAME, "3d_fullres", "0", *SHORT, "--gpus", "2"]
    with exclusive(lock_of_fold(workspace, 0), "training"):
        require_refused(*run(capsys, workspace, *train))


def test_another_fold_is_trained_meanwhile_without_waiting(capsys, workspace):
    preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"]))
    with exclusive(lock_of_fold(workspace, 0), "training"), exclusive(lock_of_data(workspace), "preprocessing"):
        code, error = run(capsys, workspace, "train", NAME, "3d_fullres", "1", *SHORT)
    assert code == 0, error
    assert "waiting" not in error
    (model,) = find_models(workspace.results)
    assert [fold.name for fold in model.folds] == ["1"]
    assert not [path for path in workspace.results.rglob(".*")]


def test_a_training_waits_for_whoever_preprocesses_for_it(capsys, workspace):
    held = exclusive(lock_of_data(workspace), "preprocessing")
    held.__enter__()
    threading.Timer(1.0, lambda: held.__exit__(None, None, None)).start()
    begun = time.monotonic()
    code, error = run(capsys, workspace, "train", NAME, "3d_fullres", "1", *SHORT)
    assert code == 0, error
    assert time.monotonic() - begun > 1.0
    assert f"waiting: {lock_of_data(workspace).parent}: preprocessing into this folder goes on already" in error


def test_a_second_preprocessing_of_a_configuration_is_refused_and_of_another_is_not(capsys, workspace):
    with exclusive(lock_of_data(workspace), "preprocessing"):
        require_refused(*run(capsys, workspace, "preprocess", NAME, "--configurations", "2d", "3d_fullres"))
        assert run(capsys, workspace, "preprocess", NAME, "--configurations", "2d")[0] == 0
    assert run(capsys, workspace, "preprocess", NAME)[0] == 0
    assert not list(workspace.preprocessed.rglob(".*"))


def test_an_import_of_the_same_number_is_refused_and_what_a_killed_one_left_goes(capsys, workspace, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(2):
        shutil.copy(workspace.raw / NAME / "imagesTr" / f"ball_{number}_0000.nii.gz", source / f"{number}.nii.gz")
        shutil.copy(workspace.raw / NAME / "labelsTr" / f"ball_{number}.nii.gz", source / f"{number}_seg.nii.gz")
    left, others = workspace.raw / ".importing_009_abc", workspace.raw / ".importing_010_abc"
    for folder in (left, others):
        folder.mkdir()
    import_9 = ["import", "pairs", str(source), "--id", "9", "--name", "Nine"]
    with exclusive(workspace.raw / ".import_009.lock", "importing"):
        require_refused(*run(capsys, workspace, *import_9))
        assert left.exists()
    assert run(capsys, workspace, *import_9)[0] == 0
    assert json.loads((workspace.raw / "Dataset009_Nine" / "dataset.json").read_text())["numTraining"] == 2
    assert not left.exists()
    assert others.exists()
