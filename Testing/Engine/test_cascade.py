"""A cascade's two stages: what the first hands over, and what the second makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, plan_small, write_balls

CASES = 3
FIRST, SECOND = "3d_lowres", "3d_cascade_fullres"
TINY = {"recipe": "short", "epochs": 1, "iterations": 2, "device": "cpu"}
MODEL = "nnUNetTrainer__nnUNetPlans__"


def cascade_workspace(folder: Path) -> Workspace:
    """Balls, and a plan whose first stage sees them at half their resolution."""
    workspace = Workspace.at(folder)
    write_balls(workspace.raw, CASES)
    plan_small(workspace)
    path = workspace.preprocessed / NAME / "nnUNetPlans.json"
    document = read_json(path)
    full = document["configurations"]["3d_fullres"]
    low = {**full, "data_identifier": "nnUNetPlans_3d_lowres", "spacing": [2.0] * 3, "next_stage": SECOND}
    document["configurations"][FIRST] = low
    document["configurations"][SECOND] = {"inherits_from": "3d_fullres", "previous_stage": FIRST}
    write_json(path, document)
    return workspace


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The first stage trained in every fold."""
    workspace = cascade_workspace(tmp_path_factory.mktemp("cascade"))
    for fold in range(CASES):
        train(workspace, TrainOptions(NAME, FIRST, fold, **TINY))
    return workspace


def handed_over(workspace: Workspace) -> Path:
    return workspace.results / NAME / f"{MODEL}{FIRST}" / "predicted_next_stage" / SECOND


def test_the_chain_runs(trained):
    result = train(trained, TrainOptions(NAME, SECOND, 0, **TINY))
    weights = read_checkpoint(result.checkpoint)["network_weights"]
    assert weights["encoder.stages.0.0.convs.0.conv.weight"].shape[1] == 1 + 2
