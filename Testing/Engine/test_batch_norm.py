"""Networks that normalise over the batch are those of nnU-Net's nnUNetTrainerBN: they train and segment."""

from __future__ import annotations

import dataclasses
import json
import lzma
from pathlib import Path

import pytest
import torch

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.inference import Segmenter, load_model
from SegAutoPlanLib.networks import build_network, load_weights, read_checkpoint, with_aliases, write_checkpoint
from SegAutoPlanLib.pipeline.plan import find_plan
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.planning import Architecture
from SegAutoPlanLib.training import TrainingTask, find_recipe
from SegAutoPlanLib.training.distributed import Ranks
from SegAutoPlanLib.training.trainer import train_fold
from Testing.Fixtures.batch_norm_weights import fill, image, sampled

from .balls import NAME, ball_workspace
from .test_training import StopInTraining

RECORDED = json.loads(lzma.decompress((Path(__file__).parents[1] / "Fixtures" / "batch_norm.json.xz").read_bytes()))
MODEL = "nnUNetTrainerBN__nnUNetPlans__3d_fullres"
FIRST = "encoder.stages.0.0.convs.0.norm"


def network_like(kind: str, dimensions: int):
    architecture = Architecture(
        kind=kind,
        features_per_stage=(4, 6, 8),
        kernel_sizes=((3,) * dimensions,) * 3,
        strides=((1,) * dimensions, (2,) * dimensions, (2,) * dimensions),
        blocks_per_stage=(1, 2, 1),
        convs_per_decoder_stage=(1, 1),
        normalization="batch",
    )
    return build_network(architecture, 1, 3)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_keys_and_logits_are_those_of_nnunets_network(kind, dimensions):
    expected = RECORDED[f"{kind}{dimensions}d"]
    network = network_like(kind, dimensions)
    fill(network.state_dict())
    state = with_aliases(network.state_dict())
    assert {name: list(tensor.shape) for name, tensor in state.items()} == expected["keys"]
    with torch.no_grad():
        assert sampled(network.eval()(image(dimensions))) == pytest.approx(expected["segmenting"], abs=1e-5)
        assert sampled(network.train()(image(dimensions))) == pytest.approx(expected["training"], abs=1e-5)
    state = with_aliases(network.state_dict())
    assert state[expected["first"]].tolist() == pytest.approx(expected["mean"], abs=1e-6)
    load_weights(network_like(kind, dimensions), state, Path("checkpoint_final.pth"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = ball_workspace(tmp_path_factory.mktemp("batch norm"))
    preprocess(workspace, PreprocessOptions(NAME))
    return workspace


@pytest.fixture(scope="module")
def trained(workspace):
    options = TrainOptions(NAME, "3d_fullres", 0, recipe="batchnorm", epochs=1, iterations=4, device="cpu", seed=7)
    return train(workspace, dataclasses.replace(options, fold=1))


def test_such_a_network_trains_and_segments(trained):
    assert trained.model.name == MODEL
    assert (trained.folder / "validation" / "summary.json").is_file()
    content = read_checkpoint(trained.checkpoint)
    assert content["trainer_name"] == "nnUNetTrainerBN"
    weights = content["network_weights"]
    assert int(weights[f"{FIRST}.num_batches_tracked"]) == 4
    assert not torch.equal(weights[f"{FIRST}.running_mean"], torch.zeros(8))
    model = load_model(trained.model, [1])
    assert model.configuration.architecture.normalization == "batch"
    assert torch.equal(model.build(0).state_dict()[f"{FIRST}.running_var"], weights[f"{FIRST}.running_var"])
    assert Segmenter(model, "cpu")


@pytest.mark.parametrize("recipe", ["batchnorm", "adam_0.001", "adamw_amsgrad_0.001"])
def test_a_stopped_training_resumes_where_it_stopped_with_every_network_and_optimiser(workspace, recipe):
    options = TrainOptions(NAME, "3d_fullres", 0, recipe=recipe, epochs=2, iterations=2, device="cpu", seed=7)
    folder = train(workspace, options).folder
    uninterrupted = read_checkpoint(folder / "checkpoint_final.pth")
    (folder / "checkpoint_final.pth").unlink()
    with pytest.raises(StopRequested):
        train(workspace, options, StopInTraining(question=4))
    train(workspace, dataclasses.replace(options, resume=True))
    resumed = read_checkpoint(folder / "checkpoint_final.pth")
    for name, tensor in uninterrupted["network_weights"].items():
        assert torch.equal(tensor, resumed["network_weights"][name]), name


def test_a_trainer_of_others_that_normalises_over_the_batch_is_known_by_its_weights(trained, tmp_path):
    content = {**content_of(trained), "trainer_name": "SomebodysTrainer"}
    model = spoiled(trained, tmp_path, content)
    assert load_model(model, [1]).configuration.architecture.normalization == "batch"


WRONG = {
    "a variance below 0": (f"{FIRST}.running_var", lambda old: old - 100, "below 0"),
    "a NaN": (f"{FIRST}.running_mean", lambda old: old * float("nan"), "finite"),
    "a count below 0": (f"{FIRST}.num_batches_tracked", lambda old: old - 100, "below 0"),
    "a count that is a fraction": (f"{FIRST}.num_batches_tracked", lambda old: old.float(), "int64"),
    "two counts": (f"{FIRST}.num_batches_tracked", lambda old: torch.stack([old, old]), "int64"),
    "whole numbers for means": (f"{FIRST}.running_mean", lambda old: old.long(), "must be a tensor of float16"),
    "means of another network": (f"{FIRST}.running_mean", lambda old: old[:-1].clone(), "does not fit"),
    "no means": (f"{FIRST}.running_mean", None, "does not fit"),
}


@pytest.mark.parametrize("what", WRONG)
def test_statistics_that_cannot_be_are_refused(what, trained, tmp_path):
    name, change, words = WRONG[what]
    content = content_of(trained)
    weights = content["network_weights"]
    old = weights[name]
    new = change and change(old)
    for alias in [alias for alias, tensor in weights.items() if tensor.data_ptr() == old.data_ptr()]:
        if change is None:
            del weights[alias]
        else:
            weights[alias] = new
    with pytest.raises(UserInputError, match=words):
        load_model(spoiled(trained, tmp_path, content), [1]).build(0)


def test_weights_without_statistics_are_not_those_of_such_a_trainer(trained, tmp_path):
    content = content_of(trained)
    weights = {name: tensor for name, tensor in content["network_weights"].items() if ".num_" not in name}
    content["network_weights"] = {name: tensor for name, tensor in weights.items() if ".running_" not in name}
    with pytest.raises(UserInputError, match="does not fit the network"):
        load_model(spoiled(trained, tmp_path, content), [1])


def content_of(trained) -> dict:
    return {**read_checkpoint(trained.checkpoint), "optimizer_state": None}


def spoiled(trained, folder: Path, content: dict) -> Path:
    model = folder / MODEL
    model.mkdir()
    for name in ("plans.json", "dataset.json"):
        (model / name).write_bytes((trained.model / name).read_bytes())
    (model / "fold_1").mkdir()
    write_checkpoint(model / "fold_1" / "checkpoint_final.pth", content)
    return model


def test_several_processes_on_a_cpu_cannot_normalise_over_their_batch_and_say_so(workspace):
    raw = load_dataset(workspace.raw / NAME)
    task = TrainingTask(
        plan=find_plan(workspace, raw, "nnUNetPlans"),
        configuration_name="3d_fullres",
        fold=0,
        dataset_json=raw.dataset_json,
        recipe=find_recipe("batchnorm"),
        seed=1,
        preprocessed=workspace.preprocessed,
        training_cases=("ball_0",),
        validation_cases=(),
        model_folder=workspace.results / "none",
        device="cpu",
    )
    with pytest.raises(UserInputError, match="only do on GPUs"):
        train_fold(task, ranks=Ranks(0, 2, 0))


def test_fine_tuning_starts_from_its_statistics_and_a_frozen_encoder_keeps_them(trained, workspace):
    options = TrainOptions(NAME, "3d_fullres", 2, recipe="batchnorm", epochs=1, iterations=2, device="cpu", seed=7)
    tuned = train(workspace, dataclasses.replace(options, pretrained=trained.checkpoint, freeze="encoder"))
    before, after = (read_checkpoint(fold.checkpoint)["network_weights"] for fold in (trained, tuned))
    last = "decoder.stages.0.convs.0.norm.running_mean"
    for name in (f"{FIRST}.running_mean", f"{FIRST}.running_var", f"{FIRST}.num_batches_tracked"):
        assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before[last], after[last])
