"""Training on real labelled images: hippocampi, where ../shared/data has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from SegAutoPlanLib.pipeline.plan import PlanOptions, plan
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.workspace import Workspace

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
HIPPOCAMPUS = DATA / "Dataset004_Hippocampus"


@pytest.mark.real_data
@pytest.mark.skipif(
    not HIPPOCAMPUS.is_dir(), reason=f"NOT TESTED: training on real images, because {HIPPOCAMPUS} is not there"
)
def test_a_minute_of_training_finds_hippocampi_that_were_held_out(tmp_path):
    workspace = Workspace.at(tmp_path)
    # A plan for little memory has small patches: the right size for a minute on a CPU.
    plan(workspace, PlanOptions(HIPPOCAMPUS, gpu_memory_gb=0.2))
    options = TrainOptions(HIPPOCAMPUS, "3d_fullres", 0, recipe="short", epochs=4, iterations=20)
    trained = train(workspace, options)
    assert trained.validation_dice >= 0.60, trained.dice_by_label
