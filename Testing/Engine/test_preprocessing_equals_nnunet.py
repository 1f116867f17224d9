"""Preprocessed cases beside those that the real nnunetv2 made (see Fixtures/README.md)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from SegAutoPlanLib.dataset import load_dataset, read_case
from SegAutoPlanLib.planning import plan_from_json
from SegAutoPlanLib.preprocessing import PreprocessedCase, open_preprocessed, preprocess_case, preprocess_dataset
from Testing.Engine.planning_fixtures import FIXTURES, read_recorded
from Testing.Fixtures.synthetic_datasets import SYNTHETIC_DATASETS, write_synthetic_dataset

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL_NAMES = (
    "Dataset004_Hippocampus",
    "Dataset501_STS_MR",
    "Dataset502_STS_PETCT",
    "Dataset503_MSLesion4ch",
    "Dataset505_AxonSEM2D",
)
GEOMETRY = (
    "spacing",
    "shape_before_cropping",
    "bbox_used_for_cropping",
    "shape_after_cropping_and_before_resampling",
)


def assert_same_properties(case: PreprocessedCase, recorded: dict) -> None:
    properties = case.geometry.to_nnunet()
    for key in GEOMETRY:
        assert properties[key] == recorded[key]
    assert list(case.data.shape) == recorded["shape"]


@pytest.mark.parametrize("name", SYNTHETIC_DATASETS)
def test_made_up_datasets_come_out_as_nnunets(name, tmp_path):
    """Anisotropic, transposed, cropped, of several channels, of regions, flat: each configuration."""
    recorded = read_recorded("synthetic.json.xz")[name]
    dataset = load_dataset(write_synthetic_dataset(name, tmp_path / "raw"))
    plan = plan_from_json(recorded["plans"]["ExperimentPlanner"])
    folders = preprocess_dataset(dataset, plan, tmp_path / "preprocessed")
    with np.load(FIXTURES / "synthetic.npz") as arrays:
        for key, properties in recorded["preprocessed"].items():
            configuration, identifier = key.split("/")
            case = open_preprocessed(folders[configuration], identifier, plan.transpose_forward)
            assert_same_properties(case, properties)
            np.testing.assert_allclose(case.data, arrays[f"{name}/{key}/image"], atol=1e-4)
            np.testing.assert_array_equal(case.segmentation, arrays[f"{name}/{key}/segmentation"])
            counts = {str(label): len(voxels) for label, voxels in case.foreground_locations.items()}
            assert counts == properties["class_counts"]


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL_NAMES)
def test_real_datasets_come_out_as_nnunets(name):
    if not REAL.is_dir():
        pytest.skip(f"NOT TESTED: preprocessing of real images, because {REAL} does not exist")
    recorded = read_recorded("real.json.xz")[name]
    dataset = load_dataset(REAL / name)
    plan = plan_from_json(_with_intensities(recorded))
    cases = {case.identifier: case for case in dataset.cases}
    for key, properties in recorded["preprocessed"].items():
        configuration, identifier = key.split("/")
        case = preprocess_case(*read_case(dataset, cases[identifier]), plan, configuration, dataset.label_scheme)
        assert_same_properties(case, properties)
        places = np.random.RandomState(7).randint(0, case.data.size, len(properties["samples"]))
        np.testing.assert_allclose(case.data.ravel()[places], properties["samples"], atol=1e-4)
        digest = hashlib.sha256(case.segmentation.astype("<i2").tobytes()).hexdigest()
        assert digest == properties["segmentation_sha256"]


def _with_intensities(recorded: dict) -> dict:
    intensities = recorded["fingerprint"]["foreground_intensity_properties_per_channel"]
    return {
        **recorded["plans"]["ExperimentPlanner"],
        "foreground_intensity_properties_per_channel": intensities,
    }
