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
from SegAutoPlanLib.networks import build_network
from SegAutoPlanLib.networks.checkpoint import read_checkpoint, write_checkpoint
from SegAutoPlanLib.pipeline.plan import find_plan
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.preprocessing import TrainingCase
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.training import RECIPES, find_recipe
from SegAutoPlanLib.training.augmentation import Augmentation, augmentation_geometry
from SegAutoPlanLib.training.batches import BatchSource, batches
from SegAutoPlanLib.training.metrics import moving_average
from SegAutoPlanLib.training.sampling import Patch, draw_patch, must_hold_foreground
from SegAutoPlanLib.training.state import load_pretrained

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


def test_nnunets_numpy_scalars_in_the_log_can_be_read(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    torch.save({"network_weights": {}, "logging": {"lrs": [np.float64(0.01), np.float32(0.5)]}}, path)
    assert read_checkpoint(path)["logging"]["lrs"] == [0.01, 0.5]


@pytest.mark.parametrize(("batch", "forced"), [(2, [1]), (3, [2]), (12, [8, 9, 10, 11])])
def test_the_last_third_of_a_batch_holds_foreground(batch, forced):
    assert [j for j in range(batch) if must_hold_foreground(j, batch, 0.33)] == forced


def test_the_ranks_of_a_distributed_run_share_out_each_batch():
    source = BatchSource(None, (), None, 5, 0.33, False, False, 0)
    parts = [dataclasses.replace(source, rank=rank, world=2).local_positions for rank in range(2)]
    assert [list(part) for part in parts] == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("patch", "crop", "in_plane"),
    # Read off the real nnU-Net.
    [
        ((128, 128, 128), (205, 205, 205), False),
        ((40, 56, 40), (73, 80, 64), False),
        ((80, 192, 160), (194, 289, 210), False),
        ((20, 256, 224), (20, 301, 301), True),
        ((56, 40), (65, 65), False),
        ((512, 512), (602, 602), False),
        ((320, 192), (422, 225), False),
    ],
)
def test_the_crop_before_rotation_is_nnunets(patch, crop, in_plane):
    geometry = augmentation_geometry(patch)
    assert geometry.crop_size == crop
    assert geometry.in_plane_only == in_plane


def one_case(shape=(10, 12, 14)) -> TrainingCase:
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    segmentation = np.zeros(shape, np.int16)
    segmentation[9, 11, 13] = 1
    return TrainingCase(data, segmentation, {1: np.array([[9, 11, 13]])})


def test_a_forced_patch_holds_its_voxel_even_at_the_border():
    case = one_case()
    for seed in range(20):
        patch = draw_patch(case, np.random.default_rng(seed), (8, 8, 8), (8, 8, 8), forced=True)
        assert (patch.labels == 1).any()


def test_a_patch_larger_than_the_image_is_padded_with_zero_and_minus_one():
    patch = draw_patch(one_case(), np.random.default_rng(0), (16, 16, 16), (16, 16, 16), forced=False)
    inside = patch.labels >= 0
    assert inside.sum() == 10 * 12 * 14
    assert (patch.image[0][~inside] == 0).all()
    assert sorted(patch.image[0][inside]) == list(range(10 * 12 * 14))


def test_random_patches_reach_every_voxel():
    seen = np.zeros(10 * 12 * 14, bool)
    for seed in range(5000):
        patch = draw_patch(one_case(), np.random.default_rng(seed), (6, 6, 6), (6, 6, 6), forced=False)
        seen[patch.image.astype(int).ravel()] = True
    assert seen.all()


@pytest.mark.parametrize("patch", [(16, 16, 16), (6, 24, 24), (24, 16)])
def test_augmentation_is_decided_by_its_seed_alone(patch):
    geometry = augmentation_geometry(patch)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, *geometry.crop_size)).astype(np.float32)
    labels = rng.integers(-1, 3, geometry.crop_size).astype(np.int16)
    augment = Augmentation(geometry, tuple(range(len(patch))))
    results = [augment(Patch(image.copy(), labels.copy()), seed) for seed in (1, 1, 2)]
    assert results[0].image.shape == (2, *patch)
    assert results[0].labels.shape == patch
    np.testing.assert_array_equal(results[0].image, results[1].image)
    assert not np.array_equal(results[0].image, results[2].image)
    assert set(np.unique(results[0].labels)) <= {-1, 0, 1, 2}


def test_batches_do_not_depend_on_the_number_of_workers(workspace):
    plan = find_plan(workspace, load_dataset(workspace.raw / NAME), "nnUNetPlans")
    configuration = plan.configurations["3d_fullres"]
    source = BatchSource(
        workspace.preprocessed / NAME / configuration.data_identifier,
        ("ball_0", "ball_1"),
        configuration,
        batch_size=2,
        oversample_foreground=0.33,
        augment=True,
        mirror=True,
        seed=3,
    )
    alone = list(batches(source, 0, 3, workers=0))
    helped = list(batches(source, 0, 3, workers=2))
    for (image, labels), (other_image, other_labels) in zip(alone, helped, strict=True):
        assert torch.equal(image, other_image)
        assert torch.equal(labels, other_labels)


def test_the_learning_rate_falls_as_nnunets():
    recipe = RECIPES["default"]
    rates = [recipe.learning_rate_at(epoch) for epoch in (0, 500, 999)]
    assert rates == pytest.approx([0.01, 0.00535887, 1.99526e-5], rel=1e-5)


def test_an_epoch_that_saw_no_class_leaves_the_moving_average_alone():
    assert moving_average(None, math.nan) is None
    assert moving_average(0.5, math.nan) == 0.5
    assert moving_average(0.5, 1.0) == pytest.approx(0.55)


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(UserInputError, match="short"):
        find_recipe("fastest")


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
