"""Models are looked at, taken in and passed on from Slicer's console."""

from __future__ import annotations

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.models import ModelFolder

from ..Engine.balls import NAME, ball_workspace, untrained_model


def test_a_model_goes_out_as_an_archive_and_comes_in_elsewhere(module, tmp_path):
    SegAutoPlanLogic = module.SegAutoPlan.SegAutoPlanLogic
    model = untrained_model(ball_workspace(tmp_path / "here", cases=2))
    archive = SegAutoPlanLogic(tmp_path / "here").exportModel(model, tmp_path / "balls.zip")
    logic = SegAutoPlanLogic(tmp_path / "there")
    told = logic.inspectModel(archive)
    assert told["usable"] is True
    assert list(told["models"][0]["segments"]) == ["ball", "core"]
    # A report of what cannot be used is an answer, too.
    (model / "fold_0" / "checkpoint_final.pth").write_bytes(b"no weights")
    assert logic.inspectModel(model)["usable"] is False
    [came] = logic.importModel(archive, name="Dataset002_Came")
    assert came == tmp_path / "there" / "results" / "Dataset002_Came" / model.name
    assert ModelFolder.read(came).label_scheme == ModelFolder.read(model).label_scheme
    with pytest.raises(UserInputError, match="is there already"):
        logic.importModel(archive, name="Dataset002_Came")
    with pytest.raises(UserInputError, match="is no zip archive"):
        logic.importModel(tmp_path / "here" / "raw" / NAME / "dataset.json")
