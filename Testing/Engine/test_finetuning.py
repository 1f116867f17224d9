"""A training that starts from another one's weights: what a path means, what is frozen, and that it resumes exactly."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
import torch

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json
from SegAutoPlanLib.models import choose_checkpoint
from SegAutoPlanLib.networks import build_network, load_pretrained, planned_shapes, read_checkpoint, write_checkpoint
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.pretrained import read_pretrained
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.training.freezing import FROZEN, freeze, keep_frozen_statistics
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, ball_workspace, write_balls
from .checkpoint_models import checkpoint_of, refuses, sound_content, state_of, with_value

TUNED = TrainOptions(
    NAME, "3d_fullres", 0, recipe="finetune", epochs=2, iterations=3, device="cpu", seed=7, freeze="encoder"
)
TRAINED_BY_NNUNET = os.environ.get("SEGAUTOPLAN_NNUNET_MODEL")
"""A model folder that nnU-Net itself has trained."""


class Recorder(Reporter):
    def __init__(self, stop_after: float = float("inf")) -> None:
        self.events: list[dict] = []
        self._left = stop_after

    def event(self, event, **fields):
        self.events.append({"event": event, **fields})

    def stop_requested(self):
        if any(event["event"] == "pretrained" for event in self.events):
            self._left -= 1
        return self._left < 0


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    workspace = ball_workspace(tmp_path_factory.mktemp("fine-tuning"))
    preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"]))
    train(workspace, TrainOptions(NAME, "3d_fullres", 0, recipe="short", epochs=1, iterations=3, device="cpu"))
    return workspace


@pytest.fixture(scope="module")
def source(workspace) -> Path:
    """The model folder to start from."""
    return workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres"


def weights_in(checkpoint: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(checkpoint)["network_weights"]


def test_a_model_stands_for_its_first_finished_fold_and_a_fold_for_its_final_checkpoint(model):
    last = checkpoint_of(model, 1)
    assert choose_checkpoint(model).path == choose_checkpoint(model / "fold_0").path == checkpoint_of(model, 0)
    checkpoint_of(model, 0).rename(model / "fold_0" / "checkpoint_best.pth")
    assert choose_checkpoint(model).path == last
    assert choose_checkpoint(model / "fold_0").path.name == "checkpoint_best.pth"
    last.unlink()
    assert choose_checkpoint(model).path == model / "fold_0" / "checkpoint_best.pth"


@pytest.mark.parametrize("what", ["", "fold_0", "fold_0/checkpoint_final.pth"])
def test_a_model_a_fold_and_a_file_are_the_same_network(what, model):
    found = read_pretrained(model / what)
    assert found.checkpoint == checkpoint_of(model)
    assert found.label_scheme.head_count == 3
    assert "encoder.stages.0.0.convs.0.conv.weight" in found.shapes
    assert not any("all_modules" in name for name in found.shapes)


def test_a_file_alone_is_known_by_what_it_says_of_itself(model, tmp_path):
    content = sound_content(model)
    write_checkpoint(tmp_path / "alone.pth", content)
    assert read_pretrained(tmp_path / "alone.pth").label_scheme is None
    content["init_args"]["dataset_json"] = read_json(model / "dataset.json")
    write_checkpoint(tmp_path / "alone.pth", content)
    assert read_pretrained(tmp_path / "alone.pth") == dataclasses.replace(
        read_pretrained(model), checkpoint=tmp_path / "alone.pth"
    )


WRONG_DESCRIPTIONS = {
    "a list": [],
    "empty": {},
    "a name that a terminal obeys": {"labels": {"background": 0, "\x1b[31m": 1}, "file_ending": ".nii.gz"},
    "labels with a gap": {"labels": {"background": 0, "a": 2}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"},
    "other labels": {"labels": {"background": 0, "a": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"},
    "a reader that is code": {"overwrite_image_reader_writer": "os.system()"},
}


@pytest.mark.parametrize("what", WRONG_DESCRIPTIONS)
def test_a_wrong_description_in_a_checkpoint_is_a_sentence(what, model, tmp_path):
    description = WRONG_DESCRIPTIONS[what]
    if "overwrite_image_reader_writer" in description:
        description = {**read_json(model / "dataset.json"), **description}
    content = sound_content(model)
    with_value("init_args", "dataset_json", value=description)(content)
    write_checkpoint(tmp_path / "alone.pth", content)
    with pytest.raises(UserInputError, match=r"alone\.pth: .*[;,].*\.$") as refusal:
        read_pretrained(tmp_path / "alone.pth")
    assert "\x1b" not in str(refusal.value)


def test_folders_without_a_model_or_a_checkpoint_are_a_sentence(tmp_path):
    (tmp_path / "fold_0").mkdir()
    assert "this is not a model folder" in refuses(tmp_path, read_pretrained)
    assert "holds no checkpoint" in refuses(tmp_path / "fold_0", read_pretrained)
    assert "there is no such checkpoint" in refuses(tmp_path / "nowhere.pth", read_pretrained)


def test_fine_tuning_says_what_it_takes_and_leaves_the_frozen_part_as_it_was_to_the_bit(workspace, source):
    report = Recorder()
    tuned = train(workspace, dataclasses.replace(TUNED, pretrained=source), report)
    assert tuned.model.name == "nnUNetTrainer_finetune__nnUNetPlans__3d_fullres"
    (told,) = [event for event in report.events if event["event"] == "pretrained"]
    assert "100 % of the weights" in told["message"]
    assert (told["share"], told["heads"]) == (1, "background, ball, core kept")
    assert any(told["message"] in log.read_text(encoding="utf-8") for log in tuned.folder.glob("training_log_*.txt"))
    assert read_json(tuned.folder / "debug.json")["pretrained"] == str(checkpoint_of(source))
    before, after = weights_in(checkpoint_of(source)), weights_in(tuned.checkpoint)
    for name, tensor in after.items():
        is_encoder = name.startswith(("encoder.", "decoder.encoder."))
        # Biases before a normalisation have no gradient, and what was zero does not decay.
        assert torch.equal(tensor, before[name]) or not is_encoder, name
    assert not torch.equal(after["decoder.seg_layers.1.weight"], before["decoder.seg_layers.1.weight"])
    assert not torch.equal(after["decoder.transpconvs.0.weight"], before["decoder.transpconvs.0.weight"])


def test_a_stopped_fine_tuning_resumes_to_the_same_weights(workspace, source, tmp_path):
    options = dataclasses.replace(TUNED, pretrained=source)
    uninterrupted = train(workspace, options).checkpoint
    kept = tmp_path / "kept.pth"
    shutil.move(uninterrupted, kept)
    with pytest.raises(StopRequested):
        train(workspace, options, Recorder(stop_after=4))
    resumed = train(workspace, dataclasses.replace(options, resume=True, pretrained=None)).checkpoint
    one, other = read_checkpoint(kept, with_optimizer=True), read_checkpoint(resumed, with_optimizer=True)
    for name, tensor in one["network_weights"].items():
        assert torch.equal(tensor, other["network_weights"][name]), name
    states = one["optimizer_state"], other["optimizer_state"]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    # nnU-Net's numbering: all parameters have one, those of the encoder no momentum.
    count = len(states[0]["param_groups"][0]["params"])
    assert 0 < len(states[0]["state"]) < count
    assert states[0]["state"].keys() == states[1]["state"].keys() == set(range(count - len(states[0]["state"]), count))


def test_a_resume_without_a_checkpoint_starts_from_the_weights_that_were_given(workspace, source):
    report = Recorder()
    train(workspace, dataclasses.replace(TUNED, fold=1, epochs=1, resume=True, pretrained=source), report)
    assert [event["event"] for event in report.events if event["event"] in ("pretrained", "resumed")] == ["pretrained"]


def test_freezing_without_weights_to_keep_is_refused(workspace, tmp_path, capsys):
    bare = ["train", NAME, "3d_fullres", "2", "--device", "cpu", "--epochs", "1", "--workspace"]
    for more, told in (
        (["--freeze", "encoder"], "--freeze encoder: there are no trained weights"),
        (["--freeze", "encoder", "--resume"], "--freeze encoder: there are no trained weights"),
        (["--freeze", "the rest"], "--freeze 'the rest': must be 'none' or 'encoder' or 'all_but_heads'"),
    ):
        assert main([*bare, str(workspace.raw.parent), *more]) == 2
        assert told in capsys.readouterr().err


@pytest.fixture
def lone_group():
    """A group of one process."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("choice", ["encoder", "all_but_heads"])
def test_gradients_are_shared_between_processes_only_of_what_is_not_frozen(choice, model, lone_group):
    network = state_of(model).network
    network.deep_supervision = True
    freeze(network, choice)
    shared = torch.nn.parallel.DistributedDataParallel(network)
    for _ in range(2):  # the second pass is refused where the first waited for a gradient that never came
        sum(logits.square().sum() for logits in shared(torch.ones(1, 1, 16, 16, 16))).backward()
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in network.parameters())
    assert any(parameter.grad is not None for parameter in network.parameters())


def test_weights_of_another_plan_are_refused_before_anything_is_preprocessed(model, tmp_path, capsys):
    workspace = Workspace.at(tmp_path / "other")
    write_balls(workspace.raw)
    # The plan is the dataset's own, whose network is far larger.
    command = ["train", NAME, "3d_fullres", "0", "--device", "cpu", "--pretrained", str(model)]
    assert main([*command, "--workspace", str(tmp_path / "other")]) == 2
    told = capsys.readouterr().err
    assert f"{checkpoint_of(model)}: only " in told
    assert "% of its weights fit the network of the plan" in told
    assert "Traceback" not in told
    assert not list((workspace.preprocessed / NAME).glob("nnUNetPlans_*"))
    assert not workspace.results.exists()


def test_other_classes_and_channels_train_from_a_model(source, tmp_path):
    workspace = ball_workspace(tmp_path, cases=5, labels={"background": 0, "lesion": 1, "core": 2})
    report = Recorder()
    train(workspace, dataclasses.replace(TUNED, epochs=1, iterations=1, freeze=None, pretrained=source), report)
    (told,) = [event for event in report.events if event["event"] == "pretrained"]
    assert told["heads"] == "background, core kept, lesion new, ball dropped"
    assert told["not_taken"] == []


@pytest.mark.parametrize("choice", FROZEN)
def test_what_is_frozen_neither_moves_nor_decays(choice, model):
    state = state_of(model)
    freeze(state.network, choice)
    state.network.deep_supervision = True
    before = {name: parameter.clone() for name, parameter in state.network.named_parameters()}
    sum(logits.square().sum() for logits in state.network(torch.ones(1, 1, 16, 16, 16))).backward()
    state.optimizer.step()
    frozen = {name for name, parameter in state.network.named_parameters() if torch.equal(parameter, before[name])}
    expected = {
        "none": set(),
        "encoder": {name for name in before if name.startswith("encoder.")},
        "all_but_heads": {name for name in before if ".seg_layers." not in name},
    }[choice]
    weights = {name for name in before if name.endswith("conv.weight") or ".seg_layers." in name}
    assert frozen & weights == expected & weights
    assert expected <= frozen


def test_a_frozen_normalisation_keeps_its_statistics(model):
    network = state_of(model).network
    network.encoder.norm, network.decoder.norm = torch.nn.BatchNorm3d(2), torch.nn.BatchNorm3d(2)
    freeze(network, "encoder")
    network.train()
    keep_frozen_statistics(network, "encoder")
    for norm in (network.encoder.norm, network.decoder.norm):
        norm(torch.full((1, 2, 2, 2, 2), 5.0))
    assert not network.encoder.norm.running_mean.any()
    assert network.decoder.norm.running_mean.all()


@pytest.mark.skipif(
    not TRAINED_BY_NNUNET, reason="NOT TESTED: a model that nnU-Net trained (SEGAUTOPLAN_NNUNET_MODEL names its folder)"
)
def test_a_model_that_nnunet_trained_is_taken_whole():
    folder = Path(TRAINED_BY_NNUNET)
    found = read_pretrained(folder)
    configuration = read_plan(folder / "plans.json").configurations[folder.name.split("__")[-1]]
    scheme, channels = found.label_scheme, found.channel_names
    assert found.shapes == planned_shapes(configuration.architecture, len(channels), scheme.head_count)
    network = build_network(configuration.architecture, len(channels), scheme.head_count)
    taken = load_pretrained(network, found, channels, scheme)
    assert (taken.share, taken.left) == (1, ())
    trained = weights_in(found.checkpoint)
    assert all(torch.equal(tensor, trained[name]) for name, tensor in network.state_dict().items())
