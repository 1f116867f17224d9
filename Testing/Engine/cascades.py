"""A small cascade: its workspace, and what tests ask of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.pipeline.cascade import first_stage
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.preprocessing.previous_stage import (
    open_previous_labels,
)
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, SIZE, plan_small, write_balls

CASES = [f"ball_{number}" for number in range(3)]
FIRST, SECOND = "3d_lowres", "3d_cascade_fullres"
SHORT = {"recipe": "short", "epochs": 1, "iterations": 2, "device": "cpu"}
SECOND_STAGE = TrainOptions(NAME, SECOND, 0, **SHORT)


class Told(Reporter):
    """Remembers events, and asks for a stop after so many questions from the second stage's first step on."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.events: list[dict] = []
        self._left = stop_after

    def event(self, event, **fields):
        self.events.append({"event": event, **fields})

    def of(self, event: str) -> list[dict]:
        return [entry for entry in self.events if entry["event"] == event]

    def stop_requested(self):
        if self._left is None or not self.of("preprocessed"):
            return False
        self._left -= 1
        return self._left < 0


def cascade_workspace(folder: Path) -> Workspace:
    """Balls, and a plan whose first stage sees them at half their resolution."""
    workspace = Workspace.at(folder)
    write_balls(workspace.raw, len(CASES))
    plan_small(workspace)
    path = workspace.preprocessed / NAME / "nnUNetPlans.json"
    document = read_json(path)
    full = document["configurations"]["3d_fullres"]
    low = {**full, "data_identifier": "nnUNetPlans_3d_lowres", "spacing": [2.0] * 3, "next_stage": SECOND}
    document["configurations"][FIRST] = low
    document["configurations"][SECOND] = {"inherits_from": "3d_fullres", "previous_stage": FIRST}
    write_json(path, document)
    return workspace


def train_both_stages(folder: Path) -> Workspace:
    """The first stage trained in every fold, the second in one."""
    workspace = cascade_workspace(folder)
    for fold in range(len(CASES)):
        train(workspace, TrainOptions(NAME, FIRST, fold, **SHORT))
    train(workspace, SECOND_STAGE)
    return workspace


def copy_of(workspace: Workspace, folder: Path) -> Workspace:
    """One that a test may spoil."""
    for name in ("raw", "preprocessed", "results"):
        shutil.copytree(getattr(workspace, name), folder / name)
    return Workspace.at(folder)


def model_of(workspace: Workspace, configuration: str) -> Path:
    return workspace.results / NAME / f"nnUNetTrainer__nnUNetPlans__{configuration}"


def handed_over(workspace: Workspace) -> Path:
    return model_of(workspace, FIRST) / "predicted_next_stage" / SECOND


def labels_of(workspace: Workspace, identifier: str) -> np.ndarray:
    return np.array(open_previous_labels(handed_over(workspace), identifier, (SIZE,) * 3))


def parts_of(workspace: Workspace) -> tuple:
    """What the first stage is known by: dataset, plan, second stage, model and splits."""
    preprocessed = workspace.preprocessed / NAME
    plan = read_plan(preprocessed / "nnUNetPlans.json")
    splits = read_json(preprocessed / "splits_final.json")
    return (
        load_dataset(workspace.raw_folder(NAME)),
        plan,
        plan.configuration(SECOND),
        model_of(workspace, FIRST),
        splits,
    )


def make_labels(workspace: Workspace, fold: int | str = 0, told: Told | None = None) -> None:
    """What the second stage's training does before it begins."""
    folder = workspace.preprocessed / NAME / "nnUNetPlans_3d_fullres"
    first_stage(*parts_of(workspace), fold, told or Told()).labels(workspace, folder, "cpu", told or Told())
