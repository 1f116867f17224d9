"""A cascade's two stages: what the first hands over, and what the second makes of it."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.inference.next_stage import labels_for_next_stage
from SegAutoPlanLib.inference.validation import case_to_segment
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.pipeline.predict import PredictOptions, predict
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.preprocessing import open_preprocessed
from SegAutoPlanLib.preprocessing.previous_stage import (
    origin_of_previous_labels,
    previous_labels_path,
    save_previous_labels,
)
from SegAutoPlanLib.training.batches import TRAINING, VALIDATION, BatchStream
from SegAutoPlanLib.training.samples import SampleSource

from .balls import NAME, SIZE
from .cascades import (
    CASES,
    FIRST,
    SECOND,
    SECOND_STAGE,
    SHORT,
    Told,
    cascade_workspace,
    copy_of,
    handed_over,
    labels_of,
    make_labels,
    model_of,
)


@pytest.fixture
def workspace(both_stages, tmp_path):
    return copy_of(both_stages, tmp_path)


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
