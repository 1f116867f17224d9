"""Models are looked at, taken in and passed on from Slicer's console."""

from __future__ import annotations

from SegAutoPlanLib.models import ModelFolder

from ..Engine.balls import ball_workspace, untrained_model


def test_a_model_goes_out_as_an_archive_and_comes_in_elsewhere(module, tmp_path):
    SegAutoPlanLogic = module.SegAutoPlan.SegAutoPlanLogic
    model = untrained_model(ball_workspace(tmp_path / "here", cases=2))
    archive = SegAutoPlanLogic(tmp_path / "here").exportModel(model, tmp_path / "balls.zip")
    logic = SegAutoPlanLogic(tmp_path / "there")
    [came] = logic.importModel(archive, name="Dataset002_Came")
    assert came == tmp_path / "there" / "results" / "Dataset002_Came" / model.name
    assert ModelFolder.read(came).label_scheme == ModelFolder.read(model).label_scheme
    (came / "fold_0" / "checkpoint_final.pth").write_bytes(b"no weights")
    # A report of what cannot be used is an answer, too.
    told = logic.inspectModel(came)
    assert told["usable"] is False
    assert list(told["models"][0]["segments"]) == ["ball", "core"]
