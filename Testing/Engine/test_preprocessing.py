"""Preprocessing a dataset: what is stored, what is kept, and what happens when things go wrong."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.executors import Workers
from SegAutoPlanLib.files import read_json
from SegAutoPlanLib.fingerprint import Fingerprint, Intensities
from SegAutoPlanLib.images import Image, SourceHeader
from SegAutoPlanLib.images.source_header import SitkGeometry
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.planning import Plan, plan_experiments
from SegAutoPlanLib.preprocessing import (
    CaseGeometry,
    case_file,
    dataset_preprocessing,
    open_preprocessed,
    open_training_case,
    preprocess_case,
    preprocess_dataset,
    preprocessed_identifiers,
    storage,
)
from SegAutoPlanLib.preprocessing.case_file import read_case_file, write_case_file
from SegAutoPlanLib.preprocessing.foreground import locate_foreground, sampled_classes
from SegAutoPlanLib.progress import Reporter
from Testing.Engine.raw_datasets import labels, write_image, write_raw_dataset

CASES = 3
INTENSITIES = Intensities(
    max=900.0, mean=50.0, median=40.0, min=-900.0, percentile_00_5=-800.0, percentile_99_5=800.0, std=300.0
)


def plan_for(folder: Path, spacing: tuple[float, float, float] = (2.5, 0.9, 0.6)) -> Plan:
    dataset = load_dataset(folder)
    count = len(dataset.cases)
    fingerprint = Fingerprint(((2.0, 0.75, 0.5),) * count, ((6, 8, 10),) * count, (INTENSITIES,), 1.0)
    return plan_experiments(fingerprint, dataset, target_spacing=spacing)


@pytest.fixture
def raw(tmp_path) -> Path:
    return write_raw_dataset(tmp_path / "raw" / "Dataset001_Tiny", CASES)


@pytest.fixture
def preprocessed(tmp_path) -> Path:
    return tmp_path / "pre processed ä"


def run(raw: Path, preprocessed: Path, **options) -> dict[str, Path]:
    plan = options.pop("plan", None) or plan_for(raw)
    return preprocess_dataset(load_dataset(raw), plan, preprocessed, **options)


def changed(folders: dict[str, Path], action) -> set[str]:
    """Which stored files `action` wrote anew."""

    def inodes() -> dict[str, int]:
        files = [file for folder in folders.values() for file in folder.glob("*.safetensors")]
        return {f"{file.parent.name}/{file.name.split('.')[0]}": file.stat().st_ino for file in files}

    kept = [file.open("rb") for folder in folders.values() for file in folder.glob("*.safetensors")]
    before = inodes()
    action()
    after = inodes()
    for file in kept:
        file.close()
    return {name for name, inode in after.items() if before.get(name) != inode}


def test_the_folder_is_laid_out_as_nnunets(raw, preprocessed):
    folders = run(raw, preprocessed)
    root = preprocessed / "Dataset001_Tiny"
    assert folders == {name: root / f"nnUNetPlans_{name}" for name in ("2d", "3d_fullres")}
    assert read_json(root / "dataset.json") == read_json(raw / "dataset.json")
    assert read_json(root / "nnUNetPlans.json")["dataset_name"] == "Dataset001_Tiny"
    assert sorted(file.name for file in (root / "gt_segmentations").iterdir()) == [
        f"case_{i:03d}.nii.gz" for i in range(CASES)
    ]
    for folder in folders.values():
        assert preprocessed_identifiers(folder) == ["case_000", "case_001", "case_002"]


def test_a_stored_case_is_mapped_and_equals_the_one_in_memory(raw, preprocessed):
    from SegAutoPlanLib.dataset import read_case

    folders, dataset = run(raw, preprocessed), load_dataset(raw)
    stored = open_preprocessed(folders["3d_fullres"], "case_001", plan_for(raw).transpose_forward)
    fresh = preprocess_case(*read_case(dataset, dataset.cases[1]), plan_for(raw), "3d_fullres", dataset.label_scheme)
    assert isinstance(stored.data, np.memmap)
    assert stored.data.dtype == np.float32
    assert stored.segmentation.dtype == np.int16
    np.testing.assert_array_equal(stored.data, fresh.data)
    np.testing.assert_array_equal(stored.segmentation, fresh.segmentation)
    assert stored.geometry == fresh.geometry
    assert list(stored.foreground_locations) == list(fresh.foreground_locations) == [1, 2]
    for label, found in stored.foreground_locations.items():
        np.testing.assert_array_equal(found, fresh.foreground_locations[label])
        assert (stored.segmentation[tuple(np.asarray(found).T)] == label).all()


def test_the_geometry_is_stored_as_nnunets_properties(raw, preprocessed):
    """Letter by letter, so that what earlier versions stored stays valid."""
    grid = SitkGeometry((0.5, 0.75, 2.0), (10.0, -20.5, 1 / 3), (1.0, -0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    array = np.ones((1, 6, 8, 10), np.float32)
    array[:, :1], array[..., 8:] = 0, 0
    image = Image(array, SourceHeader((2.0, 0.75, 0.5), grid))
    case = preprocess_case(
        image, in_memory(labels().astype(np.int16)[None]), plan_for(raw), "2d", load_dataset(raw).label_scheme
    )
    storage.save_preprocessed([preprocessed], "case_000", case, [])
    _, texts = read_case_file(storage.case_path(preprocessed, "case_000"))
    assert texts["properties"] == (
        '{"sitk_stuff": {"spacing": [0.5, 0.75, 2.0], "origin": [10.0, -20.5, 0.3333333333333333], '
        '"direction": [1.0, -0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]}, "spacing": [2.0, 0.75, 0.5], '
        '"shape_before_cropping": [6, 8, 10], "bbox_used_for_cropping": [[1, 6], [0, 8], [0, 8]], '
        '"shape_after_cropping_and_before_resampling": [5, 8, 8]}'
    )


def test_a_case_opened_with_the_plans_axis_order_knows_the_way_back(raw, preprocessed):
    array = np.zeros((6, 8, 10), np.int16)
    array[1:5, 2:8, 3:4] = 7
    plan = replace(plan_for(raw), transpose_forward=(2, 0, 1), transpose_backward=(1, 2, 0))
    case = preprocess_case(in_memory(array[None].astype(np.float32)), None, plan, "2d", load_dataset(raw).label_scheme)
    geometry = case.geometry
    assert (geometry.shape_before_cropping, geometry.cropped_shape) == ((10, 6, 8), (1, 4, 6))
    assert geometry.spacing == (0.5, 2.0, 0.75)
    assert geometry.file_axes == plan.transpose_backward
    again = CaseGeometry.from_nnunet(json.loads(json.dumps(geometry.to_nnunet())), plan.transpose_forward)
    assert again == geometry


def test_stored_cases_are_safetensors_files(raw, preprocessed):
    """An array starts at a multiple of 64 bytes, and the header says where."""
    path = storage.case_path(run(raw, preprocessed)["2d"], "case_000")
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert (8 + length) % 64 == 0
    assert content[8:9] == b"{"


def test_a_second_run_does_nothing(raw, preprocessed):
    folders = run(raw, preprocessed)
    assert changed(folders, lambda: run(raw, preprocessed)) == set()


def test_an_interrupted_run_continues(raw, preprocessed, monkeypatch):
    class Impatient(Reporter):
        seen = 0

        def event(self, event, **fields):
            self.seen = max(self.seen, fields["done"])

        def stop_requested(self):
            return self.seen >= 1

    with pytest.raises(StopRequested):
        run(raw, preprocessed, workers=1, reporter=Impatient())
    folders = {name: preprocessed / "Dataset001_Tiny" / f"nnUNetPlans_{name}" for name in ("2d", "3d_fullres")}
    there = set(preprocessed_identifiers(folders["2d"]))
    assert there
    assert there != {"case_000", "case_001", "case_002"}
    anew = changed(folders, lambda: run(raw, preprocessed))
    assert {name.split("/")[1] for name in anew} == {"case_000", "case_001", "case_002"} - there


class Forgetful(ThreadPoolExecutor):
    """Does every task twice, like a cluster that lost the worker between its writing and its answer."""

    def submit(self, task, /, *arguments, **named):
        return super().submit(lambda: [task(*arguments, **named) for _ in range(2)][1])


def test_a_case_that_is_done_twice_is_kept_as_the_first_time_left_it(raw, preprocessed):
    with Forgetful(2) as executor:
        folders = run(raw, preprocessed / "twice", workers=Workers(executor=executor))
    for name, once in run(raw, preprocessed / "once").items():
        for file in once.glob("*.safetensors"):
            assert (folders[name] / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_file_that_is_cut_short_is_made_anew(raw, preprocessed, share):
    folders = run(raw, preprocessed)
    path = storage.case_path(folders["2d"], "case_000")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserInputError, match=r"case_000.*is not a preprocessed case"):
        open_training_case(folders["2d"], "case_000")
    anew = changed(folders, lambda: run(raw, preprocessed))
    assert anew == {"nnUNetPlans_2d/case_000"}
    assert open_training_case(folders["2d"], "case_000").data.size


def test_another_spacing_invalidates_its_configuration_only(raw, preprocessed):
    plan = plan_for(raw)
    folders = run(raw, preprocessed, plan=plan)
    coarser = replace(plan.configurations["3d_fullres"], spacing=(2.0, 1.1, 1.1))
    other = replace(plan, configurations={**plan.configurations, "3d_fullres": coarser})
    anew = changed(folders, lambda: run(raw, preprocessed, plan=other))
    assert anew == {f"nnUNetPlans_3d_fullres/case_{i:03d}" for i in range(CASES)}


def test_another_batch_size_or_patch_invalidates_nothing(raw, preprocessed):
    plan = plan_for(raw)
    folders = run(raw, preprocessed, plan=plan)
    bigger = {name: replace(c, batch_size=99, patch_size=c.patch_size[::-1]) for name, c in plan.configurations.items()}
    assert changed(folders, lambda: run(raw, preprocessed, plan=replace(plan, configurations=bigger))) == set()


def test_a_changed_source_file_invalidates_its_case_only(raw, preprocessed):
    folders = run(raw, preprocessed)
    write_image(labels(values=(2, 1)), raw / "labelsTr" / "case_002.nii.gz")
    anew = changed(folders, lambda: run(raw, preprocessed))
    assert anew == {"nnUNetPlans_2d/case_002", "nnUNetPlans_3d_fullres/case_002"}


def test_ground_truth_is_copied_anew_only_when_newer(raw, preprocessed):
    run(raw, preprocessed)
    copy = preprocessed / "Dataset001_Tiny" / "gt_segmentations" / "case_000.nii.gz"
    copied = copy.stat().st_mtime_ns
    run(raw, preprocessed)
    assert copy.stat().st_mtime_ns == copied
    label = raw / "labelsTr" / "case_000.nii.gz"
    write_image(labels(values=(2,)), label)
    os.utime(label, (2e9, 2e9))
    run(raw, preprocessed)
    assert copy.read_bytes() == label.read_bytes()


def test_cases_that_left_the_dataset_leave_the_folder(raw, preprocessed):
    folders = run(raw, preprocessed)
    plan = plan_for(raw)
    (raw / "imagesTr" / "case_001_0000.nii.gz").unlink()
    run(raw, preprocessed, plan=plan)
    assert preprocessed_identifiers(folders["2d"]) == ["case_000", "case_002"]


def test_configurations_that_come_out_equal_are_stored_once(raw, preprocessed):
    plan = plan_for(raw, spacing=(2.0, 0.75, 0.5))
    folders = run(raw, preprocessed, plan=plan)
    one, other = (storage.case_path(folder, "case_000") for folder in folders.values())
    assert one.samefile(other)


def test_where_files_cannot_be_linked_they_are_written_twice(raw, preprocessed, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    folders = run(raw, preprocessed, plan=plan_for(raw, spacing=(2.0, 0.75, 0.5)))
    one, other = (storage.case_path(folder, "case_000") for folder in folders.values())
    assert not one.samefile(other)
    assert one.read_bytes() == other.read_bytes()


def test_any_number_of_workers_gives_the_same(raw, tmp_path):
    stored = [run(raw, tmp_path / str(workers), workers=workers)["3d_fullres"] for workers in (1, 3)]
    for identifier in preprocessed_identifiers(stored[0]):
        one, other = (storage.case_path(folder, identifier).read_bytes() for folder in stored)
        assert one == other


def test_each_case_is_read_once_for_all_configurations(raw, preprocessed, monkeypatch):
    read = []
    original = dataset_preprocessing.read_labelled_case
    monkeypatch.setattr(
        dataset_preprocessing,
        "read_labelled_case",
        lambda dataset, case: read.append(case.identifier) or original(dataset, case),
    )
    run(raw, preprocessed)
    assert sorted(read) == ["case_000", "case_001", "case_002"]


def test_a_full_disk_is_one_sentence_and_leaves_no_half_written_file(raw, preprocessed, monkeypatch):
    run(raw, preprocessed, configurations=["2d"])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(case_file, "_write_whole", full)
    with pytest.raises(UserInputError, match="the disk is full") as caught:
        run(raw, preprocessed)
    assert "\n" not in str(caught.value)
    folder = preprocessed / "Dataset001_Tiny"
    assert list((folder / "nnUNetPlans_3d_fullres").iterdir()) == []
    assert len(list((folder / "nnUNetPlans_2d").iterdir())) == CASES


def test_too_little_memory_is_one_sentence(raw, preprocessed, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(dataset_preprocessing, "crop_case", exhausted)
    with pytest.raises(UserInputError, match="memory ran out"):
        run(raw, preprocessed, workers=2)


def test_an_unknown_configuration_is_told(raw, preprocessed):
    with pytest.raises(UserInputError, match=r"no configuration '4d'; choose one of 2d, 3d_fullres"):
        run(raw, preprocessed, configurations=["4d"])


def test_an_image_of_zeros_is_named_and_stores_nothing(raw, preprocessed):
    write_image(np.zeros((6, 8, 10), np.int16), raw / "imagesTr" / "case_001_0000.nii.gz")
    with pytest.raises(UserInputError, match=r"case_001.*zero everywhere"):
        run(raw, preprocessed, workers=1)
    folder = preprocessed / "Dataset001_Tiny" / "nnUNetPlans_2d"
    assert preprocessed_identifiers(folder) == ["case_000"]


def test_a_flat_image_along_another_axis_is_named_when_it_would_vanish(tmp_path, preprocessed):
    raw = write_raw_dataset(tmp_path / "Dataset002_Flat", 2)
    plan = plan_for(raw, spacing=(2.0, 2.0, 2.0))
    write_image(np.ones((6, 8, 1), np.int16), raw / "imagesTr" / "case_000_0000.nii.gz")
    write_image(np.ones((6, 8, 1), np.uint8), raw / "labelsTr" / "case_000.nii.gz")
    with pytest.raises(UserInputError, match=r"case_000: an image of .* voxels would become .* 0") as caught:
        run(raw, preprocessed, plan=plan, workers=1)
    assert "\n" not in str(caught.value)


def test_a_case_without_foreground_is_stored_without_locations(raw, preprocessed):
    write_image(np.zeros((6, 8, 10), np.uint8), raw / "labelsTr" / "case_000.nii.gz")
    case = open_training_case(run(raw, preprocessed)["2d"], "case_000")
    assert {label: len(found) for label, found in case.foreground_locations.items()} == {1: 0, 2: 0}


def test_a_single_case_is_preprocessed(tmp_path, preprocessed):
    raw = write_raw_dataset(tmp_path / "Dataset003_One", 1)
    assert preprocessed_identifiers(run(raw, preprocessed)["3d_fullres"]) == ["case_000"]


def test_a_missing_or_damaged_case_is_named(raw, preprocessed):
    folder = run(raw, preprocessed)["2d"]
    with pytest.raises(UserInputError, match="case_999"):
        open_training_case(folder, "case_999")
    storage.case_path(folder, "case_000").write_bytes(b"nothing of the kind")
    with pytest.raises(UserInputError, match=r"case_000.*is not a preprocessed case"):
        open_preprocessed(folder, "case_000", (0, 1, 2))


def test_arrays_and_texts_come_back_from_a_case_file(tmp_path):
    arrays = {"a": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "b": np.empty((0, 3), np.int16)}
    write_case_file(tmp_path / "x", arrays, {"note": "größer"})
    found, texts = read_case_file(tmp_path / "x")
    assert texts == {"note": "größer"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert not found[name].flags.writeable


def in_memory(array: np.ndarray, spacing: tuple[float, float, float] = (2.0, 0.75, 0.5)) -> Image:
    return Image(array, SourceHeader(spacing))


def test_preprocessing_in_memory_leaves_what_it_was_given(raw):
    plan, scheme = plan_for(raw), load_dataset(raw).label_scheme
    image = np.random.default_rng(0).normal(size=(1, 6, 8, 10)).astype(np.float32)
    image[:, :2] = 0
    segmentation = labels().astype(np.int16)[None]
    before = image.copy(), segmentation.copy()
    case = preprocess_case(in_memory(image), in_memory(segmentation), plan, "3d_fullres", scheme)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(segmentation, before[1])
    assert case.geometry.bounding_box == ((2, 6), (0, 8), (0, 10))


def test_without_a_segmentation_there_is_none_and_the_image_is_the_same(raw):
    plan, scheme = plan_for(raw), load_dataset(raw).label_scheme
    image = in_memory(np.random.default_rng(0).normal(size=(1, 6, 8, 10)).astype(np.float32))
    alone = preprocess_case(image, None, plan, plan.configurations["2d"], scheme)
    labelled = preprocess_case(image, in_memory(labels().astype(np.int16)[None]), plan, "2d", scheme)
    assert alone.segmentation is None
    assert alone.foreground_locations == {}
    np.testing.assert_array_equal(alone.data, labelled.data)


def test_a_segmentation_on_another_grid_is_told(raw):
    image, other = (in_memory(np.ones((1, 6, 8, size), np.float32)) for size in (10, 11))
    with pytest.raises(UserInputError, match="resample one of them"):
        preprocess_case(image, other, plan_for(raw), "2d", load_dataset(raw).label_scheme)


SCHEME = LabelScheme((("background", 0), ("a", 1), ("b", 2)))
WITH_IGNORE = LabelScheme((("background", 0), ("whole", (1, 2)), ("core", 2), ("ignore", 3)), (1, 2))


def test_of_many_voxels_one_percent_and_of_few_all_are_remembered():
    segmentation = np.zeros((20, 300, 300), np.int16)
    segmentation[:14] = 1
    segmentation[19, 0, :7] = 2
    found = locate_foreground(segmentation, sampled_classes(SCHEME))
    assert {label: len(voxels) for label, voxels in found.items()} == {1: 12_600, 2: 7}
    for label, voxels in found.items():
        assert (segmentation[tuple(voxels.T)] == label).all()
        assert len(np.unique(voxels, axis=0)) == len(voxels)


def test_an_ignore_label_adds_all_that_was_annotated():
    segmentation = np.random.default_rng(0).integers(-1, 4, (5, 6, 7)).astype(np.int16)
    found = locate_foreground(segmentation, sampled_classes(WITH_IGNORE))
    assert list(found) == [(1, 2), 2, (-1, 0, 1, 2)]
    for label, voxels in found.items():
        assert len(voxels) == np.isin(segmentation, label).sum()
        assert np.isin(segmentation[tuple(voxels.T)], label).all()
