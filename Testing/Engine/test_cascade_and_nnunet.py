"""What the stages of a cascade hand over, between ours and nnU-Net's."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json
from SegAutoPlanLib.pipeline.cascade import first_stage
from SegAutoPlanLib.pipeline.train import train
from SegAutoPlanLib.preprocessing.blosc2_labels import blosc2_path, save_blosc2_labels
from SegAutoPlanLib.preprocessing.previous_stage import (
    previous_labels_path,
)
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, SIZE
from .cascades import (
    CASES,
    FIRST,
    SECOND_STAGE,
    copy_of,
    handed_over,
    labels_of,
    make_labels,
    model_of,
    parts_of,
)


@pytest.fixture
def workspace(both_stages, tmp_path):
    return copy_of(both_stages, tmp_path)


def nnunets_first_stage(workspace: Workspace) -> dict[str, np.ndarray]:
    """Only the files that nnU-Net leaves, and no network."""
    blosc2 = pytest.importorskip("blosc2", reason="nnU-Net's label files need blosc2")
    shutil.rmtree(model_of(workspace, FIRST))
    handed_over(workspace).mkdir(parents=True)
    left = {}
    for number, identifier in enumerate(CASES):
        left[identifier] = np.random.default_rng(number).integers(0, 3, (SIZE,) * 3, dtype=np.uint8)
        path = blosc2_path(handed_over(workspace), identifier)
        blosc2.asarray(left[identifier], urlpath=str(path), chunks=(16,) * 3, blocks=(8,) * 3)
    return left


def test_what_nnunets_first_stage_left_is_trained_on(workspace):
    left = nnunets_first_stage(workspace)
    train(workspace, SECOND_STAGE)
    for identifier, labels in left.items():
        np.testing.assert_array_equal(labels_of(workspace, identifier), labels)
    # Another run of nnU-Net leaves other files.
    other = blosc2_path(handed_over(workspace), "ball_1")
    shutil.copyfile(blosc2_path(handed_over(workspace), "ball_2"), other)
    os.utime(other, (1, 1))
    make_labels(workspace)
    np.testing.assert_array_equal(labels_of(workspace, "ball_1"), left["ball_2"])


def test_nnunet_can_train_on_what_is_handed_over(workspace):
    blosc2 = pytest.importorskip("blosc2", reason="nnU-Net's label files need blosc2")
    for identifier in CASES:
        theirs = blosc2.open(str(blosc2_path(handed_over(workspace), identifier)), mode="r")
        np.testing.assert_array_equal(theirs[:], labels_of(workspace, identifier))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (np.zeros((SIZE, SIZE, 5), np.uint8), "has 24 × 24 × 5 voxels"),
        (np.full((SIZE,) * 3, 9, np.uint8), "holds the label 9"),
        (np.zeros((SIZE,) * 3, np.float32), "holds numbers of the type float32"),
        (b"no blosc2 at all", "is not a file of labels"),
    ],
)
def test_a_file_of_nnunets_that_does_not_fit_is_refused(workspace, content, sentence):
    nnunets_first_stage(workspace)
    import blosc2

    path = blosc2_path(handed_over(workspace), "ball_0")
    path.write_bytes(content if isinstance(content, bytes) else blosc2.asarray(content).to_cframe())
    with pytest.raises(UserInputError, match=r"ball_0\.b2nd: " + sentence):
        train(workspace, SECOND_STAGE)


def test_without_blosc2_the_sentence_names_it(workspace, monkeypatch):
    nnunets_first_stage(workspace)
    monkeypatch.setattr("SegAutoPlanLib.pipeline.cascade.blosc2_is_installed", lambda: False)
    with pytest.raises(UserInputError, match=r"read nnU-Net's ball_0\.b2nd: pip install blosc2"):
        train(workspace, SECOND_STAGE)


def test_a_file_of_ours_is_not_taken_for_nnunets(workspace):
    pytest.importorskip("blosc2", reason="nnU-Net's label files need blosc2")
    shutil.rmtree(model_of(workspace, FIRST) / "fold_0")
    folder = handed_over(workspace)
    identifier = read_json(workspace.preprocessed / NAME / "splits_final.json")[0]["val"][0]
    previous_labels_path(folder, identifier).unlink()
    save_blosc2_labels(blosc2_path(folder, identifier), np.zeros((SIZE,) * 3, np.uint8), "some origin")
    with pytest.raises(UserInputError, match="fold 0 of 3d_lowres is not trained"):
        first_stage(*parts_of(workspace), 0)
