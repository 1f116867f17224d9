"""Training learns, stops, resumes, and draws its batches as promised."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import sys

import pytest
import torch

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.inference import Segmenter
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.losses import build_loss
from SegAutoPlanLib.networks import build_network, load_pretrained, read_checkpoint
from SegAutoPlanLib.networks.samples_at_once import VOXELS_AT_ONCE
from SegAutoPlanLib.pipeline.plan import find_plan
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.pretrained import read_pretrained
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.training import find_recipe
from SegAutoPlanLib.training.batches import TRAINING, BatchStream, LoaderDied
from SegAutoPlanLib.training.samples import SampleSource
from SegAutoPlanLib.training.targets import full_resolution_target
from SegAutoPlanLib.training.trainer import train_fold

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
        # Four steps and a look at validation are the first of three epochs; two steps of the second are done.
        train(workspace, SHORT, StopInTraining(question=7))
    stopped = weights_of(workspace, "latest")
    assert (stopped["current_epoch"], stopped["segautoplan"]["iteration"]) == (1, 2)
    train(workspace, dataclasses.replace(SHORT, resume=True))
    resumed = weights_of(workspace)
    for name, tensor in uninterrupted["network_weights"].items():
        assert torch.equal(tensor, resumed["network_weights"][name]), name
    assert resumed["logging"]["train_losses"] == uninterrupted["logging"]["train_losses"]


@pytest.mark.parametrize("lost_at", [6, 9], ids=["in a step", "in validation"])
def test_a_training_that_loses_its_loaders_keeps_what_it_learned_and_resumes_exactly(workspace, monkeypatch, lost_at):
    train(workspace, SHORT)
    uninterrupted = weights_of(workspace)
    taken = []

    class Lost(BatchStream):
        def __next__(self):
            taken.append(None)
            if len(taken) > lost_at:
                raise LoaderDied("Loaders died.")
            return super().__next__()

    monkeypatch.setattr("SegAutoPlanLib.training.fold_batches.BatchStream", Lost)
    with pytest.raises(LoaderDied):
        train(workspace, SHORT)
    monkeypatch.undo()
    (workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth").unlink()
    report = Recorder()
    train(workspace, dataclasses.replace(SHORT, resume=True), report)
    assert "resumed" in {event["event"] for event in report.events}
    resumed = weights_of(workspace)
    for name, tensor in uninterrupted["network_weights"].items():
        assert torch.equal(tensor, resumed["network_weights"][name]), name


def test_without_deep_supervision_the_loss_is_that_of_the_full_resolution(workspace):
    options = dataclasses.replace(SHORT, recipe="nodeepsupervision", epochs=1, iterations=1)
    trained = train(workspace, options)
    assert trained.model.name == "nnUNetTrainerNoDeepSupervision__nnUNetPlans__3d_fullres"
    checkpoint = read_checkpoint(trained.checkpoint)

    raw = load_dataset(workspace.raw / NAME)
    configuration = find_plan(workspace, raw, "nnUNetPlans").configuration("3d_fullres")
    splits = read_json(workspace.preprocessed / NAME / "splits_final.json")
    torch.manual_seed(SHORT.seed)
    network = build_network(configuration.architecture, 1, 3)
    folder = workspace.preprocessed / NAME / configuration.data_identifier
    source = SampleSource(folder, tuple(splits[0]["train"]), configuration, 0.33, "default", (0, 1, 2), SHORT.seed)
    with BatchStream((source,), [(TRAINING, 0)]) as batches:
        images, labels = next(batches)
    target = full_resolution_target(labels, raw.label_scheme)
    loss = build_loss(None, raw.label_scheme, configuration.batch_dice)(network(images), target)
    assert checkpoint["logging"]["train_losses"] == pytest.approx([loss.item()], rel=1e-6)
    changed = {
        name
        for name, tensor in network.state_dict().items()
        if ".seg_layers." in name and not torch.equal(tensor, checkpoint["network_weights"][name])
    }
    assert changed == {"decoder.seg_layers.1.weight", "decoder.seg_layers.1.bias"}


def test_a_training_without_deep_supervision_learns_and_resumes(workspace):
    options = dataclasses.replace(SHORT, recipe="nodeepsupervision", fold=1, epochs=3)
    with pytest.raises(StopRequested):
        train(workspace, options, StopInTraining(question=7))
    report = Recorder()
    train(workspace, dataclasses.replace(options, resume=True), report)
    losses = [event["train_loss"] for event in report.events if event["event"] == "epoch"]
    assert losses[-1] < 0.9


def test_loader_processes_are_started_once_and_none_is_left(workspace, monkeypatch):
    class PidsPerEpoch(Recorder):
        def __init__(self):
            super().__init__()
            self.pids = []

        def event(self, event, **fields):
            super().event(event, **fields)
            if event == "epoch":
                self.pids.append({process.pid for process in multiprocessing.active_children()})

    def with_two_workers(task, *others):
        return train_fold(dataclasses.replace(task, workers=2), *others)

    monkeypatch.setattr("SegAutoPlanLib.pipeline.train.train_fold", with_two_workers)
    options = dataclasses.replace(SHORT, fold=0, epochs=3, iterations=2)
    report = PidsPerEpoch()
    train(workspace, options, report)
    first, second, third = report.pids
    assert len(first) == 2
    assert first == second == third
    assert multiprocessing.active_children() == []
    helped = weights_of(workspace)
    monkeypatch.undo()
    train(workspace, options)
    for name, tensor in weights_of(workspace)["network_weights"].items():
        assert torch.equal(tensor, helped["network_weights"][name]), name


def test_validation_stops_between_tiles_and_keeps_finished_cases(workspace, monkeypatch):
    monkeypatch.setitem(VOXELS_AT_ONCE, "cpu", 1)  # one sample after the other
    train(workspace, dataclasses.replace(SHORT, epochs=1))
    validation = workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/validation"
    cases = sorted(validation.glob("*.nii.gz"))
    for file in cases:
        file.unlink()
    tiles_of_a_case, mirrored_copies = 8, 8

    class StopInSecondCase(Recorder):
        """Asked once before each case and once before each copy of a tile."""

        def __init__(self):
            super().__init__(stop_at=1 + tiles_of_a_case * mirrored_copies + 1 + 3)

    with pytest.raises(StopRequested, match=f"after 1 of {len(cases)} cases"):
        train(workspace, dataclasses.replace(SHORT, validate_only="final"), StopInSecondCase())
    assert sorted(validation.glob("*.nii.gz")) == cases[:1]


def test_the_tiles_of_validation_are_told_within_its_cases(workspace, monkeypatch):
    train(workspace, dataclasses.replace(SHORT, epochs=1))
    monkeypatch.setitem(VOXELS_AT_ONCE, "cpu", 1)
    monkeypatch.setattr("SegAutoPlanLib.progress.SECONDS_BETWEEN_PARTS", 0)
    report = Recorder()
    train(workspace, dataclasses.replace(SHORT, validate_only="final"), report)
    told = [event for event in report.events if event["event"] == "progress" and event["stage"] != "preprocess"]
    assert {(event["stage"], event["unit"], event["total"]) for event in told} == {("validating", "case", 2)}
    assert [event["done"] for event in told] == sorted(event["done"] for event in told)
    tiles = [event["inner"]["done"] for event in told if "inner" in event and event["done"] == 1]
    assert tiles == list(range(9))


class StopInTraining(Recorder):
    """Asks for a stop before the given step of training or validation (counted from 0)."""

    def __init__(self, question: int) -> None:
        super().__init__()
        self._left: int | None = None
        self._question = question

    def event(self, event, **fields):
        super().event(event, **fields)
        if event == "preprocessed":
            self._left = self._question

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


def test_pretrained_weights_of_the_same_plan_are_taken_but_for_the_heads_of_other_classes(workspace):
    train(workspace, dataclasses.replace(SHORT, fold=3, epochs=1))
    source = workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres/fold_3/checkpoint_final.pth"
    plan = find_plan(workspace, load_dataset(workspace.raw / NAME), "nnUNetPlans")
    network = build_network(plan.configurations["3d_fullres"].architecture, 1, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    plan_labels = LabelScheme((("background", 0), ("a new one", 1), ("another", 2)))
    load_pretrained(network, read_pretrained(source), ["MRI"], plan_labels)
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


@pytest.mark.parametrize(("recipe", "ending"), [("benchmark", ""), ("benchmark_noloading", "_noDataLoading")])
def test_a_benchmark_measures_and_keeps_nothing_else(workspace, recipe, ending):
    measured = train(workspace, dataclasses.replace(SHORT, recipe=recipe, epochs=2, iterations=2))
    folder = workspace.results / NAME / f"nnUNetTrainerBenchmark_5epochs{ending}__nnUNetPlans__3d_fullres" / "fold_0"
    assert measured.result == folder / "benchmark_result.json"
    [entry] = read_json(measured.result).values()
    assert entry["fastest_epoch"] == measured.fastest_epoch_s > 0
    assert not list(folder.glob("*.pth"))
    assert not (folder / "validation").exists()


@pytest.mark.parametrize("change", [{"resume": True}, {"validate_only": "final"}])
def test_a_benchmark_cannot_go_on(workspace, change):
    with pytest.raises(UserInputError, match="benchmark, which keeps no network"):
        train(workspace, dataclasses.replace(SHORT, recipe="benchmark", **change))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="NOT TESTED: reading TOML needs Python 3.11")
def test_a_users_recipe_trains_into_a_folder_of_its_own_and_says_what_it_was(workspace, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'base = "short"\nbatch_size = 3\noversampling = "coin"\nmirroring = "all_but_last"\nwarmup_epochs = 1\n'
        'optimizer = "adamw"\nlearning_rate = 1e-3\nschedule = "cosine"\n'
    )
    trained = train(workspace, dataclasses.replace(SHORT, recipe=str(mine), epochs=2, iterations=2))
    assert trained.model.name == "mine__nnUNetPlans__3d_fullres"
    content = read_checkpoint(trained.checkpoint)
    assert content["trainer_name"] == "nnUNetTrainer"
    assert content["inference_allowed_mirroring_axes"] == (0, 1)
    recipe = content["segautoplan"]["recipe"]
    assert (recipe["name"], recipe["batch_size"], recipe["epochs"]) == ("mine", 3, 2)
    assert content["logging"]["lrs"] == [1e-3, 1e-3]
    # The plan is the dataset's, whatever a recipe makes of it.
    assert content["init_args"]["plans"]["configurations"]["3d_fullres"]["batch_size"] == 2


def test_a_recipes_batch_is_the_one_that_is_drawn_and_counted(workspace):
    raw = load_dataset(workspace.raw / NAME)
    planned = find_plan(workspace, raw, "nnUNetPlans").configuration("3d_fullres")
    eight = find_recipe("nnUNet_Trainer_BS8").applied_to(planned)
    assert (planned.batch_size, eight.batch_size) == (2, 8)
    assert find_recipe("default").applied_to(planned) == planned
    splits = read_json(workspace.preprocessed / NAME / "splits_final.json")
    folder = workspace.preprocessed / NAME / planned.data_identifier
    source = SampleSource(folder, tuple(splits[0]["train"]), eight, 0.33, "none", (), SHORT.seed)
    with BatchStream((source,), [(TRAINING, 0)]) as batches:
        images, _ = next(batches)
    assert len(images) == 8


def test_the_validation_of_a_fold_mirrors_as_the_model_allows_on_a_cpu_too(workspace, monkeypatch):
    used, precisions = [], []

    def remembered(*given, **named):
        used.append(Segmenter(*given, **named))
        precisions.append(named["precision"])
        return used[-1]

    monkeypatch.setattr("SegAutoPlanLib.pipeline.fold_validation.Segmenter", remembered)
    train(workspace, dataclasses.replace(SHORT, configuration="2d", epochs=1, iterations=1, precision="full"))
    (segmenter,) = used
    assert precisions == ["full"]
    assert segmenter.device.type == "cpu"
    assert segmenter.mirroring
    assert tuple(segmenter.model.mirror_axes) == (0, 1)


def test_a_fold_without_validation_cases_is_trained_and_says_so(tmp_path, capsys):
    workspace = ball_workspace(tmp_path)
    cases = [f"ball_{number}" for number in range(3)]
    write_json(workspace.preprocessed / NAME / "splits_final.json", [{"train": cases, "val": []}])
    options = ["--epochs", "1", "--iterations", "1", "--recipe", "short", "--device", "cpu"]
    assert main(["train", NAME, "2d", "0", *options, "--workspace", str(tmp_path)]) == 0
    assert "The fold has no validation cases." in capsys.readouterr().out
