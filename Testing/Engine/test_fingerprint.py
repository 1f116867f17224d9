"""The fingerprint: nnU-Net's numbers without nnU-Net's memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.fingerprint import (
    Fingerprint,
    extract_fingerprint,
    extraction,
    foreground_samples,
    read_fingerprint,
    sample_pool,
    write_fingerprint,
)
from SegAutoPlanLib.fingerprint.foreground_samples import DrawnValues, RandomWords, draw_foreground, times_drawn
from SegAutoPlanLib.fingerprint.sample_pool import SamplePool
from SegAutoPlanLib.progress import Reporter
from Testing.Engine.planning_fixtures import read_recorded
from Testing.Engine.raw_datasets import labels, voxels, write_image, write_raw_dataset
from Testing.Fixtures.synthetic_datasets import SYNTHETIC_DATASETS, write_synthetic_dataset

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
PERCENTS = {"percentile_00_5": 0.5, "median": 50, "percentile_99_5": 99.5}


@pytest.fixture
def few_samples(monkeypatch):
    """Statistics from fewer draws, for tests that do not compare with nnU-Net."""
    monkeypatch.setattr(extraction, "SAMPLES_IN_TOTAL", 20_000)


def assert_equals_nnunets(ours: Fingerprint, recorded: dict) -> None:
    found = json.loads(json.dumps(ours.to_json()))
    assert found["spacings"] == recorded["spacings"]
    assert found["shapes_after_crop"] == recorded["shapes_after_crop"]
    assert found["median_relative_size_after_cropping"] == recorded["median_relative_size_after_cropping"]
    theirs = recorded["foreground_intensity_properties_per_channel"]
    assert list(found["foreground_intensity_properties_per_channel"]) == list(theirs)
    for channel, values in found["foreground_intensity_properties_per_channel"].items():
        assert values == pytest.approx(theirs[channel], rel=1e-6)


@pytest.mark.parametrize("name", SYNTHETIC_DATASETS)
def test_fingerprints_of_made_up_datasets_equal_nnunets(name, tmp_path):
    dataset = load_dataset(write_synthetic_dataset(name, tmp_path))
    assert_equals_nnunets(extract_fingerprint(dataset), read_recorded("synthetic.json.xz")[name]["fingerprint"])


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["Dataset004_Hippocampus", "Dataset501_STS_MR", "Dataset505_AxonSEM2D"])
def test_fingerprints_of_real_datasets_equal_nnunets(name):
    if not REAL.is_dir():
        pytest.skip(f"NOT TESTED: fingerprints of real images, because {REAL} does not exist")
    fingerprint = extract_fingerprint(load_dataset(REAL / name))
    assert_equals_nnunets(fingerprint, read_recorded("real.json.xz")[name]["fingerprint"])


@pytest.mark.parametrize("population", [1, 2, 3, 1000, 1024, 1025, 70_000])
def test_counts_of_draws_equal_numpys_legacy_choice(population, monkeypatch):
    # Small, so that draws go on beyond the words that are kept.
    monkeypatch.setattr(foreground_samples, "WORDS_KEPT", 1 << 14)
    foreground_samples._first_words.cache_clear()
    words, random = RandomWords(), np.random.RandomState(1234)
    for draws in (1, 17, 100_003):
        drawn = random.choice(np.arange(population), draws, replace=True)
        np.testing.assert_array_equal(times_drawn(words, population, draws), np.bincount(drawn, minlength=population))
    foreground_samples._first_words.cache_clear()


@pytest.mark.parametrize("whole_numbers", [True, False])
def test_drawn_values_are_those_that_nnunet_draws_channel_after_channel(whole_numbers):
    image = np.random.default_rng(0).normal(0, 400, (2, 6, 7, 8)).astype(np.float32)
    image = np.round(image) if whole_numbers else image
    foreground = np.random.default_rng(1).random((6, 7, 8)) < 0.4
    random = np.random.RandomState(1234)
    for channel, drawn in zip(image, draw_foreground(image, foreground, 5000), strict=True):
        values, counts = np.unique(random.choice(channel[foreground], 5000, replace=True), return_counts=True)
        np.testing.assert_array_equal(drawn.values, values)
        np.testing.assert_array_equal(drawn.counts, counts)


def test_statistics_equal_numpys_over_all_samples():
    random = np.random.default_rng(0)
    pool, samples = SamplePool(), []
    for scale in (0.001, 1, 5000):
        values = np.unique(random.normal(-0.3, scale, 3000).astype(np.float32))
        counts = random.integers(1, 40, len(values))
        pool.add(DrawnValues(values, counts))
        samples.append(np.repeat(values, counts).astype(np.float64))
    everything = np.concatenate(samples)
    found = pool.statistics()
    assert len(pool) == len(everything)
    for name, percent in PERCENTS.items():
        assert getattr(found, name) == pytest.approx(np.percentile(everything, percent), rel=1e-12)
    assert found.mean == pytest.approx(everything.mean(), rel=1e-9)
    assert found.std == pytest.approx(everything.std(), rel=1e-9)
    assert (found.min, found.max) == (everything.min(), everything.max())


def test_samples_beyond_the_memory_allowed_are_kept_in_a_file(monkeypatch):
    monkeypatch.setattr(sample_pool, "IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr(sample_pool, "PAIRS_AT_ONCE", 100)
    pool = SamplePool()
    values = np.arange(5000, dtype=np.float32)
    pool.add(DrawnValues(values, np.ones(5000, np.int64)))
    assert pool.statistics().median == pytest.approx(np.median(values))
    pool.close()


def test_memory_does_not_grow_with_the_number_of_cases(tmp_path, few_samples):
    def peak(cases: int) -> int:
        dataset = load_dataset(write_raw_dataset(tmp_path / f"Dataset{cases:03d}_X", cases))
        extract_fingerprint(dataset, workers=1)
        tracemalloc.start()
        extract_fingerprint(dataset, workers=1)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(40) < 1.2 * peak(4)


def test_any_number_of_workers_gives_the_same(tmp_path, few_samples):
    dataset = load_dataset(write_raw_dataset(tmp_path / "Dataset001_X", 5))
    alone, together = (extract_fingerprint(dataset, workers=workers) for workers in (1, 3))
    assert alone.shapes_after_crop == together.shapes_after_crop
    for one, other in zip(alone.foreground_intensities, together.foreground_intensities, strict=True):
        assert vars(one) == pytest.approx(vars(other), rel=1e-12)


def test_one_case_is_enough(tmp_path, few_samples):
    fingerprint = extract_fingerprint(load_dataset(write_raw_dataset(tmp_path / "Dataset001_X", 1)))
    assert fingerprint.shapes_after_crop == ((6, 8, 10),)


def test_it_is_read_back_as_it_was_written(tmp_path, few_samples):
    fingerprint = extract_fingerprint(load_dataset(write_raw_dataset(tmp_path / "Dataset001_X", 2)))
    write_fingerprint(fingerprint, tmp_path / "dataset_fingerprint.json")
    assert read_fingerprint(tmp_path / "dataset_fingerprint.json") == fingerprint
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UserInputError, match="not a dataset fingerprint"):
        read_fingerprint(tmp_path / "other.json")


def test_no_foreground_in_one_case_is_fine_and_in_none_is_told(tmp_path, few_samples):
    folder = write_raw_dataset(tmp_path / "Dataset001_X", 2)
    empty = np.zeros((6, 8, 10), np.uint8)
    write_image(empty, folder / "labelsTr" / "case_000.nii.gz")
    assert extract_fingerprint(load_dataset(folder)).foreground_intensities[0].std > 0
    write_image(empty, folder / "labelsTr" / "case_001.nii.gz")
    with pytest.raises(UserInputError, match="no case has any foreground voxel"):
        extract_fingerprint(load_dataset(folder))


def broken(folder: Path, what: str) -> str:
    """Break the dataset's second case and say which words name the trouble."""
    image = folder / "imagesTr" / "case_001_0000.mha"
    label = folder / "labelsTr" / "case_001.mha"
    if what == "image of zeros":
        write_image(np.zeros((6, 8, 10), np.int16), image)
        return r"case_001.*zero everywhere"
    if what == "NaN":
        write_image(np.full((6, 8, 10), np.nan, np.float32), image)
        return r"case_001_0000\.mha"
    if what == "spacing 0":
        sitk.WriteImage(sitk.GetImageFromArray(voxels(0)), str(image), False)
        image.write_bytes(image.read_bytes().replace(b"ElementSpacing = 1 1 1", b"ElementSpacing = 0 1 1"))
        return r"case_001_0000\.mha.*spacing"
    if what == "4-D label":
        sitk.WriteImage(sitk.GetImageFromArray(np.stack([labels()] * 2), isVector=False), str(label))
        return r"case_001\.mha"
    label.unlink()
    return r"case_001\.mha.*missing"


@pytest.mark.parametrize("what", ["image of zeros", "NaN", "spacing 0", "4-D label", "no label file"])
def test_a_case_that_cannot_be_used_is_named(tmp_path, few_samples, what):
    folder = write_raw_dataset(tmp_path / "Dataset001_X", 3, file_ending=".mha")
    words = broken(folder, what)
    with pytest.raises(UserInputError, match=words) as caught:
        extract_fingerprint(load_dataset(folder), workers=2)
    assert "\n" not in str(caught.value)


def test_progress_is_told_and_a_stop_is_obeyed(tmp_path, few_samples):
    class Listener(Reporter):
        def __init__(self, stop_after: int) -> None:
            self.done: list[int] = []
            self.stop_after = stop_after

        def event(self, event, **fields):
            self.done.append(fields["done"])

        def stop_requested(self):
            return len(self.done) > self.stop_after

    dataset = load_dataset(write_raw_dataset(tmp_path / "Dataset001_X", 6))
    patient, hasty = Listener(100), Listener(3)
    extract_fingerprint(dataset, workers=2, reporter=patient)
    assert patient.done == [0, 1, 2, 3, 4, 5, 6]
    for workers in (1, 2):
        hasty.done.clear()
        with pytest.raises(StopRequested):
            extract_fingerprint(dataset, workers=workers, reporter=hasty)
