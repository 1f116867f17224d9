"""Training on real labelled images: hippocampi, where ../shared/data has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.number_format import FULL_PRECISION, NumberFormat
from SegAutoPlanLib.pipeline.plan import PlanOptions, plan
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.training import TrainingTask, find_recipe
from SegAutoPlanLib.training.trainer import train_fold
from SegAutoPlanLib.workspace import Workspace

from .test_channels_last import needs_bfloat16

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
HIPPOCAMPUS = DATA / "Dataset004_Hippocampus"


needs_hippocampi = pytest.mark.skipif(
    not HIPPOCAMPUS.is_dir(), reason=f"NOT TESTED: training on real images, because {HIPPOCAMPUS} is not there"
)


@pytest.mark.real_data
@needs_hippocampi
@needs_bfloat16
def test_bfloat16_learns_hippocampi_along_the_same_curve(tmp_path):
    workspace = Workspace.at(tmp_path)
    plan(workspace, PlanOptions(HIPPOCAMPUS, gpu_memory_gb=0.2))
    preprocess(workspace, PreprocessOptions(HIPPOCAMPUS, configurations=["2d"]))
    folder, dataset = workspace.preprocessed / HIPPOCAMPUS.name, load_dataset(HIPPOCAMPUS)
    planned = read_plan(folder / "nnUNetPlans.json")
    cases = tuple(case.identifier for case in dataset.cases)
    task = TrainingTask(
        plan=planned,
        configuration_name="2d",
        fold=0,
        dataset_json=dataset.dataset_json,
        recipe=replace(find_recipe("short", 4, 6), validation_iterations=1, batch_size=4),
        seed=1,
        preprocessed=folder / planned.configuration("2d").data_identifier,
        training_cases=cases[:20],
        validation_cases=cases[20:24],
        model_folder=tmp_path / "model",
        device="cpu",
    )
    curves = []
    for number_format in (FULL_PRECISION, NumberFormat("bfloat16", channels_last=True)):
        final = train_fold(replace(task, number_format=number_format, model_folder=tmp_path / str(number_format)))
        curves.append(np.array(read_checkpoint(final)["logging"]["train_losses"]))
    usual, other = curves
    assert usual[-1] < usual[0] - 0.5
    assert not np.array_equal(usual, other)
    assert np.abs(usual - other).max() < 0.05, (usual, other)


@pytest.mark.real_data
@needs_hippocampi
def test_a_minute_of_training_finds_hippocampi_that_were_held_out(tmp_path):
    workspace = Workspace.at(tmp_path)
    # A plan for little memory has small patches: the right size for a minute on a CPU.
    plan(workspace, PlanOptions(HIPPOCAMPUS, gpu_memory_gb=0.2))
    options = TrainOptions(HIPPOCAMPUS, "3d_fullres", 0, recipe="short", epochs=4, iterations=20)
    trained = train(workspace, options)
    assert trained.validation_dice >= 0.60, trained.dice_by_label
