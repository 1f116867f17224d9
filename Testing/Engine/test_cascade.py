"""A cascade's two stages: what the first hands over, and what the second makes of it."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.inference.next_stage import labels_for_next_stage
from SegAutoPlanLib.inference.validation import case_to_segment
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.pipeline.cascade import first_stage
from SegAutoPlanLib.pipeline.predict import PredictOptions, predict
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.preprocessing import open_preprocessed
from SegAutoPlanLib.preprocessing.blosc2_labels import blosc2_path, save_blosc2_labels
from SegAutoPlanLib.preprocessing.case_file import write_case_file
from SegAutoPlanLib.preprocessing.previous_stage import (
    open_previous_labels,
    origin_of_previous_labels,
    previous_labels_path,
    save_previous_labels,
)
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.training.batches import TRAINING, VALIDATION, BatchStream
from SegAutoPlanLib.training.samples import SampleSource
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


@pytest.fixture(scope="module")
def both_stages(tmp_path_factory):
    """The first stage trained in every fold, the second in one."""
    workspace = cascade_workspace(tmp_path_factory.mktemp("cascade ü"))
    for fold in range(len(CASES)):
        train(workspace, TrainOptions(NAME, FIRST, fold, **SHORT))
    train(workspace, SECOND_STAGE)
    return workspace


@pytest.fixture
def workspace(both_stages, tmp_path):
    """A copy that a test may spoil."""
    for name in ("raw", "preprocessed", "results"):
        shutil.copytree(getattr(both_stages, name), tmp_path / name)
    return Workspace.at(tmp_path)


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


def test_each_case_is_handed_over_by_the_fold_that_did_not_train_on_it(both_stages):
    splits = read_json(both_stages.preprocessed / NAME / "splits_final.json")
    assert sorted(split["val"][0] for split in splits) == CASES
    origins = {origin_of_previous_labels(handed_over(both_stages), identifier) for identifier in CASES}
    assert len(origins) == len(CASES)
    for identifier in CASES:
        labels = labels_of(both_stages, identifier)
        assert labels.dtype == np.uint8
        assert set(np.unique(labels)) <= {0, 1, 2}


def test_the_second_stage_has_a_channel_per_label(both_stages):
    weights = read_checkpoint(model_of(both_stages, SECOND) / "fold_0" / "checkpoint_final.pth")["network_weights"]
    assert weights["encoder.stages.0.0.convs.0.conv.weight"].shape[1] == 1 + 2


def test_the_second_stage_finds_what_is_there_and_makes_nothing(both_stages):
    files = sorted(handed_over(both_stages).iterdir())
    before = [file.stat().st_mtime_ns for file in files]
    told = Told()
    train(both_stages, dataclasses.replace(SECOND_STAGE, validate_only="final"), told)
    assert not told.of("predicting")
    assert [file.stat().st_mtime_ns for file in files] == before


def test_its_samples_are_the_image_and_the_labels_of_the_first_stage(both_stages, tmp_path):
    preprocessed = both_stages.preprocessed / NAME
    configuration = read_plan(preprocessed / "nnUNetPlans.json").configuration(SECOND)
    folder = preprocessed / configuration.data_identifier
    # What the first stage is to have found is what was drawn, so that both can be told apart only by the noise.
    for identifier in CASES:
        drawn = open_preprocessed(folder, identifier, (0, 1, 2)).segmentation
        save_previous_labels(tmp_path, identifier, drawn.clip(0).astype(np.uint8), "")
    source = SampleSource(
        folder=folder,
        identifiers=tuple(CASES),
        configuration=configuration,
        oversample_foreground=0.33,
        augmentation="default",
        mirror_axes=(0, 1, 2),
        seed=1,
        previous_stage=tmp_path,
        previous_labels=(1, 2),
    )
    quiet = dataclasses.replace(source, augmentation="none", mirror_axes=())
    order = [(which, number) for which in (TRAINING, VALIDATION) for number in range(40)]
    changed = []
    with BatchStream((source, quiet), order) as batches:
        for (which, _), (images, labels) in zip(order, batches, strict=True):
            assert images.shape[1] == 1 + 2
            expected = torch.stack([labels == 1, labels == 2], 1).float()
            if which == VALIDATION:
                assert torch.equal(images[:, 1:], expected)
            else:
                changed += [not torch.equal(*pair) for pair in zip(images[:, 1:], expected, strict=True)]
    # 0.4 and 0.2, each for any of two labels; not every operator changes something.
    assert 0.15 < np.mean(changed) < 0.45


def test_the_second_stage_is_validated_on_what_the_first_one_found(both_stages):
    first = labels_of(both_stages, CASES[0])

    class Model:
        plan = read_plan(both_stages.preprocessed / NAME / "nnUNetPlans.json")

    class Segmenter:
        model = Model()

    folder = both_stages.preprocessed / NAME / "nnUNetPlans_3d_fullres"
    case = case_to_segment(Segmenter(), folder, CASES[0], handed_over(both_stages))
    np.testing.assert_array_equal(case.segmentation, first)
    assert case_to_segment(Segmenter(), folder, CASES[0]).segmentation is None
    validated = model_of(both_stages, SECOND) / "fold_0" / "validation" / "summary.json"
    assert len(read_json(validated)["metric_per_case"]) == 1


def test_both_stages_segment_a_new_image(both_stages, tmp_path):
    image = tmp_path / "in" / "new_0000.nii.gz"
    image.parent.mkdir()
    shutil.copyfile(both_stages.raw / NAME / "imagesTr" / "ball_1_0000.nii.gz", image)
    predict(both_stages, PredictOptions(model_of(both_stages, FIRST), [image.parent], tmp_path / "low", device="cpu"))
    options = PredictOptions(
        model_of(both_stages, SECOND), [image.parent], tmp_path / "out", device="cpu", previous_stage=tmp_path / "low"
    )
    assert predict(both_stages, options).files == (tmp_path / "out" / "new.nii.gz",)


def test_labels_that_are_missing_are_made_again_alike(workspace):
    kept = {identifier: labels_of(workspace, identifier) for identifier in CASES}
    shutil.rmtree(handed_over(workspace))
    shutil.rmtree(workspace.preprocessed / NAME / "nnUNetPlans_3d_lowres")
    told = Told()
    train(workspace, dataclasses.replace(SECOND_STAGE, validate_only="final"), told)
    assert len(told.of("predicting")) == len(CASES)
    for identifier, labels in kept.items():
        # Here with mirrored copies on any device; the networks are hardly trained.
        assert np.mean(labels_of(workspace, identifier) == labels) > 0.5
        assert origin_of_previous_labels(handed_over(workspace), identifier)


def test_labels_of_an_earlier_first_stage_are_made_anew(workspace):
    splits = read_json(workspace.preprocessed / NAME / "splits_final.json")
    before = {identifier: origin_of_previous_labels(handed_over(workspace), identifier) for identifier in CASES}
    folds = [model_of(workspace, FIRST) / f"fold_{fold}" for fold in range(2)]
    shutil.copyfile(folds[0] / "checkpoint_final.pth", folds[1] / "checkpoint_final.pth")
    told = Told()
    make_labels(workspace, 0, told)
    assert [event["message"] for event in told.of("predicting")] == [
        f"Fold 1 of {FIRST} segments 1 cases for {SECOND}."
    ]
    after = {identifier: origin_of_previous_labels(handed_over(workspace), identifier) for identifier in CASES}
    assert [identifier for identifier in CASES if before[identifier] != after[identifier]] == splits[1]["val"]


def test_an_untrained_fold_is_named_before_anything_is_preprocessed(tmp_path):
    workspace = cascade_workspace(tmp_path)
    train(workspace, TrainOptions(NAME, FIRST, 1, **SHORT))
    with pytest.raises(UserInputError) as refusal:
        train(workspace, SECOND_STAGE)
    assert "folds 0, 2 of 3d_lowres are not trained; train each first" in str(refusal.value)
    assert f"train {NAME} 3d_lowres FOLD" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (workspace.preprocessed / NAME / "nnUNetPlans_3d_fullres").exists()
    assert not (model_of(workspace, SECOND) / "plans.json").exists()


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.zeros((SIZE, SIZE, SIZE - 1), np.uint8), r"has 24 × 24 × 23 voxels, and .* 24 × 24 × 24; delete it"),
        (np.full((SIZE,) * 3, 3, np.uint8), r"holds the label 3, and the dataset's end with 2; delete it"),
    ],
)
def test_labels_that_do_not_fit_are_refused(workspace, labels, sentence):
    folder = handed_over(workspace)
    save_previous_labels(folder, "ball_1", labels, origin_of_previous_labels(folder, "ball_1"))
    with pytest.raises(UserInputError, match=r"ball_1\.labels\.safetensors: " + sentence):
        train(workspace, SECOND_STAGE)


VOXELS = np.zeros((2, 3, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "texts"),
    [
        ({"labels": VOXELS}, {}),
        ({"labels": VOXELS}, {"origin": "x" * 2000}),
        ({"labels": VOXELS.astype(np.float32)}, {"origin": ""}),
        ({"labels": VOXELS.astype(np.int16)}, {"origin": ""}),
        ({"labels": VOXELS[0]}, {"origin": ""}),
        ({"labels": VOXELS[:0]}, {"origin": ""}),
        ({"image": VOXELS}, {"origin": ""}),
    ],
)
def test_what_is_no_file_of_labels_is_refused_and_known_for_none(tmp_path, arrays, texts):
    write_case_file(previous_labels_path(tmp_path, "ball_0"), arrays, texts)
    with pytest.raises(UserInputError, match=r"ball_0\.labels\.safetensors: is not a preprocessed case"):
        open_previous_labels(tmp_path, "ball_0", VOXELS.shape)
    assert origin_of_previous_labels(tmp_path, "ball_0") is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_labels_come_back_as_they_were_stored(tmp_path, dtype):
    labels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    save_previous_labels(tmp_path, "ball_0", labels, "an origin")
    found = open_previous_labels(tmp_path, "ball_0", (2, 3, 4))
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == dtype
    assert origin_of_previous_labels(tmp_path, "ball_0") == "an origin"
    with pytest.raises(UserInputError, match=r"ball_1\.labels\.safetensors: the file is missing"):
        open_previous_labels(tmp_path, "ball_1", (2, 3, 4))


def test_damaged_labels_are_made_anew(workspace):
    path = previous_labels_path(handed_over(workspace), "ball_2")
    path.write_bytes(path.read_bytes()[:-5])
    make_labels(workspace)
    assert labels_of(workspace, "ball_2").shape == (SIZE,) * 3


def test_a_stopped_second_stage_resumes_where_it_stopped(workspace):
    options = dataclasses.replace(SECOND_STAGE, iterations=4)
    checkpoint = model_of(workspace, SECOND) / "fold_0" / "checkpoint_final.pth"
    train(workspace, options)
    whole = read_checkpoint(checkpoint)["network_weights"]
    checkpoint.unlink()
    with pytest.raises(StopRequested):
        train(workspace, options, Told(stop_after=2))
    assert not checkpoint.exists()
    train(workspace, dataclasses.replace(options, resume=True))
    for name, tensor in read_checkpoint(checkpoint)["network_weights"].items():
        assert torch.equal(tensor, whole[name]), name


def test_a_second_stage_starts_from_the_weights_of_another(workspace):
    told = Told()
    start = model_of(workspace, SECOND) / "fold_0" / "checkpoint_final.pth"
    train(workspace, dataclasses.replace(SECOND_STAGE, fold=1, pretrained=start), told)
    assert any("Starting from the weights of" in event.get("message", "") for event in told.events)


def test_a_fold_beyond_the_splits_hands_nothing_over(workspace):
    before = {file: file.read_bytes() for file in handed_over(workspace).iterdir()}
    train(workspace, TrainOptions(NAME, FIRST, 7, **SHORT))
    assert {file: file.read_bytes() for file in handed_over(workspace).iterdir()} == before


def test_a_case_that_no_fold_validates_is_named(workspace):
    path = workspace.preprocessed / NAME / "splits_final.json"
    write_json(path, [{"train": ["ball_0", "ball_1"], "val": ["ball_2"]}])
    with pytest.raises(UserInputError, match=r"splits_final\.json: has ball_0 among no fold's validation cases"):
        train(workspace, SECOND_STAGE)


def test_a_first_stage_trained_on_all_cases_serves_a_second_one_that_is_too(workspace):
    model = model_of(workspace, FIRST)
    shutil.rmtree(handed_over(workspace))
    (model / "fold_0").rename(model / "fold_all")
    with pytest.raises(UserInputError, match="fold 0 of 3d_lowres is not trained"):
        train(workspace, SECOND_STAGE)
    told = Told()
    make_labels(workspace, "all", told)
    assert any("will trust it too much" in event["message"] for event in told.of("warning"))
    assert [event["message"] for event in told.of("predicting")] == [
        f"Fold all of {FIRST} segments 3 cases for {SECOND}."
    ]


def test_the_labels_are_those_of_the_interpolated_logits(both_stages):
    plan = read_plan(both_stages.preprocessed / NAME / "nnUNetPlans.json")
    folder = both_stages.preprocessed / NAME / "nnUNetPlans_3d_fullres"
    geometry = open_preprocessed(folder, "ball_0", (0, 1, 2)).geometry
    logits = torch.randn(3, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    scheme = LabelScheme((("background", 0), ("ball", 1), ("core", 2)))
    found = labels_for_next_stage(logits, geometry, plan.configuration(FIRST), plan.configuration(SECOND), scheme)
    large = torch.nn.functional.interpolate(logits[None], (SIZE,) * 3, mode="trilinear", align_corners=False)[0]
    np.testing.assert_array_equal(found, large.argmax(0).numpy())


def nnunets_first_stage(workspace: Workspace) -> dict[str, np.ndarray]:
    """Only the files that nnU-Net leaves, and no network."""
    blosc2 = pytest.importorskip("blosc2", reason="nnU-Net's label files need blosc2")
    shutil.rmtree(model_of(workspace, FIRST))
    handed_over(workspace).mkdir(parents=True)
    left = {}
    for number, identifier in enumerate(CASES):
        left[identifier] = np.random.default_rng(number).integers(0, 3, (SIZE,) * 3, dtype=np.uint8)
        path = blosc2_path(handed_over(workspace), identifier)
        blosc2.asarray(left[identifier], urlpath=str(path), chunks=(16,) * 3, blocks=(8,) * 3)
    return left


def test_what_nnunets_first_stage_left_is_trained_on(workspace):
    left = nnunets_first_stage(workspace)
    train(workspace, SECOND_STAGE)
    for identifier, labels in left.items():
        np.testing.assert_array_equal(labels_of(workspace, identifier), labels)
    # Another run of nnU-Net leaves other files.
    other = blosc2_path(handed_over(workspace), "ball_1")
    shutil.copyfile(blosc2_path(handed_over(workspace), "ball_2"), other)
    os.utime(other, (1, 1))
    make_labels(workspace)
    np.testing.assert_array_equal(labels_of(workspace, "ball_1"), left["ball_2"])


def test_nnunet_can_train_on_what_is_handed_over(workspace):
    blosc2 = pytest.importorskip("blosc2", reason="nnU-Net's label files need blosc2")
    for identifier in CASES:
        theirs = blosc2.open(str(blosc2_path(handed_over(workspace), identifier)), mode="r")
        np.testing.assert_array_equal(theirs[:], labels_of(workspace, identifier))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (np.zeros((SIZE, SIZE, 5), np.uint8), "has 24 × 24 × 5 voxels"),
        (np.full((SIZE,) * 3, 9, np.uint8), "holds the label 9"),
        (np.zeros((SIZE,) * 3, np.float32), "holds numbers of the type float32"),
        (b"no blosc2 at all", "is not a file of labels"),
    ],
)
def test_a_file_of_nnunets_that_does_not_fit_is_refused(workspace, content, sentence):
    nnunets_first_stage(workspace)
    import blosc2

    path = blosc2_path(handed_over(workspace), "ball_0")
    path.write_bytes(content if isinstance(content, bytes) else blosc2.asarray(content).to_cframe())
    with pytest.raises(UserInputError, match=r"ball_0\.b2nd: " + sentence):
        train(workspace, SECOND_STAGE)


def test_without_blosc2_the_sentence_names_it(workspace, monkeypatch):
    nnunets_first_stage(workspace)
    monkeypatch.setattr("SegAutoPlanLib.pipeline.cascade.blosc2_is_installed", lambda: False)
    with pytest.raises(UserInputError, match=r"read nnU-Net's ball_0\.b2nd: pip install blosc2"):
        train(workspace, SECOND_STAGE)


def test_a_file_of_ours_is_not_taken_for_nnunets(workspace):
    pytest.importorskip("blosc2", reason="nnU-Net's label files need blosc2")
    shutil.rmtree(model_of(workspace, FIRST) / "fold_0")
    folder = handed_over(workspace)
    identifier = read_json(workspace.preprocessed / NAME / "splits_final.json")[0]["val"][0]
    previous_labels_path(folder, identifier).unlink()
    save_blosc2_labels(blosc2_path(folder, identifier), np.zeros((SIZE,) * 3, np.uint8), "some origin")
    with pytest.raises(UserInputError, match="fold 0 of 3d_lowres is not trained"):
        first_stage(*parts_of(workspace), 0)
