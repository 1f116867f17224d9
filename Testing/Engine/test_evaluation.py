"""Evaluation counts as nnU-Net counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.evaluation import agreement, evaluate_folder, read_summary
from SegAutoPlanLib.files import read_json
from SegAutoPlanLib.labels import LabelScheme

from .raw_datasets import write_image

ONE = LabelScheme((("background", 0), ("a", 1)))
LABELS = LabelScheme((("background", 0), ("a", 1), ("b", 2)))
IGNORING = LabelScheme((("background", 0), ("a", 1), ("b", 2), ("ignore", 3)))
REGIONS = LabelScheme((("background", 0), ("whole", (1, 2)), ("core", 2)), (1, 2))


def test_counts_and_dice_are_those_of_a_direct_count():
    rng = np.random.default_rng(0)
    reference, prediction = rng.integers(0, 3, (2, 1, 8, 9, 10))
    result = agreement(reference, prediction, LABELS)[2]
    tp = int(((reference == 2) & (prediction == 2)).sum())
    fp, fn = int((prediction == 2).sum()) - tp, int((reference == 2).sum()) - tp
    assert result["Dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-12)
    assert result["IoU"] == pytest.approx(tp / (tp + fp + fn), abs=1e-12)
    assert (result["TP"], result["FP"], result["FN"]) == (tp, fp, fn)
    assert result["TP"] + result["FP"] + result["FN"] + result["TN"] == reference.size
    assert (result["n_pred"], result["n_ref"]) == (tp + fp, tp + fn)


def test_a_label_in_neither_file_is_nan():
    zeros = np.zeros((1, 2, 2, 2), int)
    assert math.isnan(agreement(zeros, zeros, LABELS)[1]["Dice"])


def test_regions_join_their_labels():
    reference = np.array([[[[1, 2, 0, 0]]]])
    prediction = np.array([[[[2, 2, 0, 1]]]])
    result = agreement(reference, prediction, REGIONS)
    assert result[(1, 2)]["TP"] == 2
    assert result[2]["FP"] == 1


def test_ignored_voxels_count_nowhere():
    reference = np.array([[[[1, 3, 3, 0]]]])
    prediction = np.array([[[[1, 1, 2, 0]]]])
    result = agreement(reference, prediction, IGNORING)
    assert result[1]["FP"] == 0
    assert result[1]["Dice"] == 1.0


def write_pair(folder, name, reference, prediction):
    for kind, array in (("ref", reference), ("pred", prediction)):
        write_image(np.asarray(array, np.uint8), folder / kind / f"{name}.nii.gz", spacing=(1.0, 1.0, 1.0))


def test_the_summary_is_nnunets(tmp_path):
    block = np.zeros((4, 4, 4))
    block[1:3] = 1
    other = block.copy()
    other[3] = 2
    write_pair(tmp_path, "x", block, block)
    write_pair(tmp_path, "y", other, block)
    evaluation = evaluate_folder(
        tmp_path / "ref", tmp_path / "pred", LABELS, ".nii.gz", "SimpleITKIO", tmp_path / "summary.json"
    )
    summary = read_json(tmp_path / "summary.json")
    assert sorted(summary) == ["foreground_mean", "mean", "metric_per_case"]
    assert summary["mean"]["1"]["Dice"] == 1.0
    assert summary["mean"]["2"]["Dice"] == 0.0  # NaN in x is left out
    assert math.isnan(summary["metric_per_case"][0]["metrics"]["2"]["Dice"])
    assert summary["foreground_mean"]["Dice"] == evaluation.foreground_mean() == 0.5
    assert set(summary["mean"]["1"]) == {"Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref"}


def test_a_region_is_keyed_as_nnunet_keys_it(tmp_path):
    write_pair(tmp_path, "x", np.ones((2, 2, 2)), np.ones((2, 2, 2)))
    result = evaluate_folder(tmp_path / "ref", tmp_path / "pred", REGIONS, ".nii.gz", "SimpleITKIO").to_json()
    assert list(result["mean"]) == ["(1, 2)", "2"]


def test_other_grids_and_missing_files_are_named(tmp_path):
    write_pair(tmp_path, "x", np.ones((2, 2, 2)), np.ones((2, 2, 3)))
    with pytest.raises(UserInputError, match=r"x\.nii\.gz"):
        evaluate_folder(tmp_path / "ref", tmp_path / "pred", LABELS, ".nii.gz", "SimpleITKIO")
    (tmp_path / "pred" / "x.nii.gz").unlink()
    with pytest.raises(UserInputError, match="no "):
        evaluate_folder(tmp_path / "ref", tmp_path / "pred", LABELS, ".nii.gz", "SimpleITKIO")


@pytest.mark.parametrize("scheme", [LABELS, REGIONS], ids=["labels", "regions"])
def test_a_summary_is_read_back_as_it_was_written(tmp_path, scheme):
    write_pair(tmp_path, "x", np.ones((2, 2, 2)), np.ones((2, 2, 2)))
    written = tmp_path / "summary.json"
    evaluation = evaluate_folder(tmp_path / "ref", tmp_path / "pred", scheme, ".nii.gz", "SimpleITKIO", written)
    for again in (read_summary(written, scheme), read_summary(written)):
        assert str(again.to_json()) == str(evaluation.to_json())


@pytest.mark.parametrize(
    "spoiled",
    [
        {},
        {"mean": {"1": {}}, "metric_per_case": []},
        {"mean": {"one": {}}},
        {"mean": {"1": {}, "2": {}}},
        {"metric_per_case": [{"metrics": {"1": {"Dice": 1}}, "prediction_file": "x", "reference_file": "x"}]},
    ],
)
def test_what_is_no_summary_is_refused_by_name(tmp_path, spoiled):
    write_pair(tmp_path, "x", np.ones((2, 2, 2)), np.ones((2, 2, 2)))
    file = tmp_path / "summary.json"
    evaluate_folder(tmp_path / "ref", tmp_path / "pred", ONE, ".nii.gz", "SimpleITKIO", file)
    file.write_text(json.dumps({**read_json(file), **spoiled} if spoiled else spoiled))
    with pytest.raises(UserInputError, match=r"summary\.json"):
        read_summary(file)
