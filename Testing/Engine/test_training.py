"""Training learns, stops, resumes, and draws its batches as promised."""

from __future__ import annotations

import dataclasses
import errno
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.networks import build_network, load_pretrained, read_checkpoint, write_checkpoint
from SegAutoPlanLib.pipeline.plan import find_plan
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.preprocessing import PreprocessedCase
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.training import RECIPES, find_recipe
from SegAutoPlanLib.training.augmentation import Augmentation, augmentation_geometry
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS, AugmentationPreset
from SegAutoPlanLib.training.batches import TRAINING, VALIDATION, BatchStream, batch_order
from SegAutoPlanLib.training.metrics import moving_average
from SegAutoPlanLib.training.samples import SampleSource
from SegAutoPlanLib.training.sampling import Patch, draw_patch, must_hold_foreground, positions_of_rank

from .balls import NAME, ball_workspace

SHORT = TrainOptions(NAME, "3d_fullres", 0, recipe="short", epochs=3, iterations=4, device="cpu", seed=7)


class Recorder(Reporter):
    """Remembers events; asks for a stop at the n-th question."""

    def __init__(self, stop_at: float = math.inf) -> None:
        self.events: list[dict] = []
        self._questions, self._stop_at = 0, stop_at

    def event(self, event, **fields):
        self.events.append({"event": event, **fields})

    def stop_requested(self):
        self._questions += 1
        return self._questions >= self._stop_at


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = ball_workspace(tmp_path_factory.mktemp("training space ü"))
    preprocess(workspace, PreprocessOptions(NAME))
    return workspace


def weights_of(workspace, name="final", fold=0):
    folder = workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres" / f"fold_{fold}"
    return read_checkpoint(folder / f"checkpoint_{name}.pth")


def test_a_short_training_learns_the_balls(workspace):
    options = dataclasses.replace(SHORT, epochs=8, iterations=15)
    report = Recorder()
    trained = train(workspace, dataclasses.replace(options, fold=1), report)
    losses = [event["train_loss"] for event in report.events if event["event"] == "epoch"]
    assert losses[-1] < losses[0] - 0.5
    assert trained.dice_by_label["ball"] > 0.7
    assert (trained.folder / "validation" / "summary.json").is_file()


def test_a_2d_training_runs_to_its_end(workspace):
    trained = train(workspace, dataclasses.replace(SHORT, configuration="2d"))
    assert trained.checkpoint.is_file()


def test_regions_and_an_ignore_label_train(tmp_path):
    workspace = ball_workspace(
        tmp_path,
        cases=5,
        labels={"background": 0, "whole": [1, 2], "core": [2], "ignore": 3},
        regions_class_order=[1, 2],
    )
    options = dataclasses.replace(SHORT, epochs=1)
    trained = train(workspace, options)
    assert set(trained.dice_by_label) == {"whole", "core"}


def test_a_stopped_training_resumes_where_it_stopped(workspace):
    train(workspace, SHORT)
    uninterrupted = weights_of(workspace)
    with pytest.raises(StopRequested):
        # The seventh step lies in the middle of the second of three epochs.
        train(workspace, SHORT, StopInTraining(step=6))
    stopped = weights_of(workspace, "latest")
    assert (stopped["current_epoch"], stopped["segautoplan"]["iteration"]) == (1, 2)
    (workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth").unlink()
    train(workspace, dataclasses.replace(SHORT, resume=True))
    resumed = weights_of(workspace)
    for name, tensor in uninterrupted["network_weights"].items():
        assert torch.allclose(tensor, resumed["network_weights"][name], atol=1e-6), name
    assert resumed["logging"]["train_losses"] == pytest.approx(uninterrupted["logging"]["train_losses"], abs=1e-5)


class StopInTraining(Recorder):
    """Asks for a stop before the given training step (counted from 0)."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._left: int | None = None
        self._step = step

    def event(self, event, **fields):
        super().event(event, **fields)
        if event == "preprocessed":
            self._left = self._step

    def stop_requested(self):
        if self._left is None:
            return False
        self._left -= 1
        return self._left < 0


def test_a_final_checkpoint_is_what_nnunet_expects(workspace):
    train(workspace, dataclasses.replace(SHORT, fold=2, epochs=1))
    checkpoint = weights_of(workspace, fold=2)
    assert checkpoint["trainer_name"] == "nnUNetTrainer"
    assert checkpoint["init_args"]["configuration"] == "3d_fullres"
    assert checkpoint["inference_allowed_mirroring_axes"] == (0, 1, 2)
    assert checkpoint["current_epoch"] == 1
    assert "decoder.encoder.stages.0.0.convs.0.all_modules.0.weight" in checkpoint["network_weights"]
    assert not (
        workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres/fold_2/checkpoint_latest.pth"
    ).exists()


def test_pretrained_weights_are_taken_but_for_the_heads(workspace):
    train(workspace, dataclasses.replace(SHORT, fold=3, epochs=1))
    source = workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres/fold_3/checkpoint_final.pth"
    plan = find_plan(workspace, load_dataset(workspace.raw / NAME), "nnUNetPlans")
    network = build_network(plan.configurations["3d_fullres"].architecture, 1, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_pretrained(network, source)
    trained = read_checkpoint(source)["network_weights"]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name] if ".seg_layers." in name else trained[name]), name


def test_a_training_says_which_weights_it_starts_from(workspace):
    train(workspace, dataclasses.replace(SHORT, fold=3, epochs=1))
    source = workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres/fold_3/checkpoint_final.pth"
    options = dataclasses.replace(SHORT, epochs=1, iterations=1, pretrained=source)
    report = Recorder()
    train(workspace, dataclasses.replace(options, fold=4), report)
    (told,) = [event["message"] for event in report.events if event["event"] == "pretrained"]
    assert str(source) in told


def test_a_damaged_checkpoint_is_named(workspace, tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UserInputError, match=r"checkpoint_final\.pth"):
        read_checkpoint(path)


def test_a_checkpoint_that_would_execute_code_is_refused(tmp_path):
    import pickle

    marker = tmp_path / "executed"

    class Harmful:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "checkpoint_final.pth"
    torch.save({"network_weights": Harmful()}, path, pickle_module=pickle)
    with pytest.raises(UserInputError, match="safely"):
        read_checkpoint(path)
    assert not marker.exists()


def test_a_full_disk_is_a_sentence_and_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint_latest.pth"
    write_checkpoint(path, {"network_weights": {"a": torch.ones(3)}})

    def fills_the_disk(_path, _content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fills_the_disk)
    with pytest.raises(UserInputError, match="the disk is full"):
        write_checkpoint(path, {"network_weights": {"a": torch.zeros(3)}})
    assert read_checkpoint(path)["network_weights"]["a"].tolist() == [1, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
