"""Every problem of a dataset in one report, each with a case, a file and a remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.dataset import IntegrityReport, Problem, check_dataset, load_dataset
from SegAutoPlanLib.errors import StopRequested
from SegAutoPlanLib.progress import Reporter
from Testing.Engine.raw_datasets import labels, sitk_image, voxels, write_description, write_image, write_raw_dataset

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def check(folder: Path) -> IntegrityReport:
    return check_dataset(load_dataset(folder), workers=2)


def only_problem(folder: Path) -> Problem:
    report = check(folder)
    assert len(report.problems) == 1, str(report)
    return report.problems[0]


@pytest.fixture
def sound(tmp_path) -> Path:
    return write_raw_dataset(tmp_path / "Dataset001_Sound")


def image(folder: Path, number: int) -> Path:
    return folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz"


def label(folder: Path, number: int) -> Path:
    return folder / "labelsTr" / f"case_{number:03d}.nii.gz"


def test_a_sound_dataset_has_no_problems(sound):
    report = check(sound)
    assert (report.ok, report.problems) == (True, ())
    assert str(report) == "Dataset001_Sound: 5 cases checked, no problems."


def test_all_problems_are_in_one_report(tmp_path):
    sound = write_raw_dataset(tmp_path / "D", channel_names={"0": "CT", "1": "PET"})
    image(sound, 0).unlink()
    image(sound, 1).write_bytes(image(sound, 1).read_bytes()[:200])
    write_image(np.where(voxels(2) == voxels(2).max(), np.nan, voxels(2)), image(sound, 2))
    write_image(labels(values=(1, 9)), label(sound, 3))
    label(sound, 4).unlink()
    report = check(sound)
    assert not report.ok
    found = {(problem.case, problem.file, problem.problem) for problem in report.errors}
    assert found == {
        ("case_000", "case_000_0000.nii.gz", "the file is missing"),
        ("case_001", "case_001_0000.nii.gz", "is cut short: voxels are missing at its end"),
        ("case_002", "case_002_0000.nii.gz", "holds NaN voxels"),
        ("case_003", "case_003.nii.gz", "label 9 is not in dataset.json (labels are 0, 1, 2)"),
        ("case_004", "case_004.nii.gz", "the file is missing"),
    }
    assert all(problem.remedy for problem in report.problems)


def test_the_report_is_a_table_and_json(sound):
    label(sound, 4).unlink()
    write_image(labels(values=()), label(sound, 1))
    report = check(sound)
    lines = str(report).splitlines()
    assert lines[0] == "Dataset001_Sound: 5 cases checked, 1 error and 1 warning."
    assert lines[2].split() == ["case", "file", "problem", "remedy"]
    assert lines[4].startswith("error    case_004  case_004.nii.gz  the file is missing")
    assert max(len(line) for line in lines) < 180
    document = json.loads(json.dumps(report.to_json()))
    assert (document["ok"], document["case_count"]) == (False, 5)
    assert document["problems"][1]["severity"] == "warning"


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_a_damaged_file_that_itk_would_read_is_an_error(tmp_path, ending):
    folder = write_raw_dataset(tmp_path / "D", file_ending=ending)
    path = folder / "imagesTr" / f"case_002_0000{ending}"
    write_image(voxels(2, (30, 120, 120)), path)
    write_image(labels((30, 120, 120)), folder / "labelsTr" / f"case_002{ending}")
    assert check(folder).problems == ()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    problem = only_problem(folder)
    assert (problem.severity, problem.file) == ("error", path.name)
    assert "copy or export" in problem.remedy


def test_two_labels_with_one_value_are_a_warning(sound):
    write_description(sound, labels={"background": 0, "liver": 1, "tumour": 2, "lesion": 2})
    assert "tumour, lesion have the same value 2" in only_problem(sound).problem


def test_one_file_may_have_several_problems(sound):
    write_image(labels((6, 8, 11), values=(1, 9)), label(sound, 0), spacing=(1.0, 1.0, 1.0))
    assert [problem.case for problem in check(sound).problems] == ["case_000", "case_000"]


def test_a_different_spacing_is_an_error_and_a_different_place_a_warning(sound):
    write_image(labels(), label(sound, 0), spacing=(0.5, 0.75, 3.0))
    write_image(labels(), label(sound, 1), origin=(11.0, -20.0, 30.0))
    write_image(labels(), label(sound, 2), direction=(-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    spacing, *places = check(sound).problems
    assert spacing.severity == "error"
    assert "its spacing is 3 x 0.75 x 0.5 mm (z, y, x), but that of case_000_0000.nii.gz" in spacing.problem
    assert [place.severity for place in places] == ["warning", "warning"]
    assert "its origin is 1 mm away from case_001_0000.nii.gz" in places[0].problem
    assert "its axes point in other directions" in places[1].problem


def test_an_origin_rounded_by_its_file_type_is_no_problem(sound):
    write_image(labels(), label(sound, 0), origin=(10.001, -20.0, 30.0))
    assert check(sound).problems == ()


def test_a_case_without_any_image_is_told_by_its_label_and_the_count(sound):
    image(sound, 0).unlink()
    error, warning = check(sound).problems[0], check(sound).problems[-1]
    assert '"numTraining" is 5, but there are 4 cases' in error.problem
    assert (warning.file, warning.problem) == ("case_000.nii.gz", "has no image in imagesTr, and is not used")


def test_a_num_training_that_lies_is_an_error(sound):
    write_description(sound, numTraining=7)
    problem = only_problem(sound)
    assert (problem.severity, problem.file) == ("error", "dataset.json")
    assert '"numTraining" is 7, but there are 5 cases' in problem.problem


def test_a_wrong_number_of_channels_is_an_error_for_each_case(sound):
    write_description(sound, channel_names={"0": "CT", "1": "PET"})
    problems = check(sound).errors
    assert [problem.case for problem in problems] == [f"case_{number:03d}" for number in range(5)]
    assert "has 1 channel, but dataset.json names 2 (CT, PET)" in problems[0].problem
    assert "_0001.nii.gz" in problems[0].remedy


def test_one_missing_channel_is_reported_once(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", channel_names={"0": "CT", "1": "PET"})
    (folder / "imagesTr" / "case_003_0001.nii.gz").unlink()
    problem = only_problem(folder)
    assert (problem.case, problem.file) == ("case_003", "case_003_0001.nii.gz")


def test_an_empty_label_file_is_a_warning(sound):
    write_image(labels(values=()), label(sound, 2))
    problem = only_problem(sound)
    assert (problem.severity, problem.file) == ("warning", "case_002.nii.gz")
    assert "only background" in problem.problem


def test_nothing_labelled_anywhere_is_an_error(sound):
    for number in range(5):
        write_image(labels(values=()), label(sound, number))
    report = check(sound)
    assert [problem.problem for problem in report.errors] == ["no case has anything labelled"]


def test_a_label_absent_from_all_cases_is_a_warning_with_its_name(sound):
    write_description(sound, labels={"background": 0, "liver": 1, "tumour": 2, "vessel": 3})
    problem = only_problem(sound)
    assert (problem.severity, problem.problem) == ("warning", "no case has the label vessel (3)")


@pytest.mark.parametrize("name", ["left kidney", "Kidney_Right", "kidneyLeft", "LEFT"])
def test_sides_are_warned_of_because_mirroring_swaps_them(sound, name):
    write_description(sound, labels={"background": 0, name: 1, "cleft": 2})
    problem = only_problem(sound)
    assert problem.severity == "warning"
    assert f"({name})" in problem.problem
    assert "nomirroring" in problem.remedy


def test_fewer_cases_than_folds_is_a_warning(tmp_path):
    assert "fewer than the 5 folds" in only_problem(write_raw_dataset(tmp_path / "A", 3)).problem
    assert "only one case" in only_problem(write_raw_dataset(tmp_path / "B", 1)).problem


def test_mixed_orientations_are_a_warning_unless_the_reader_turns_them(sound):
    flipped = (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)
    write_image(voxels(3), image(sound, 3), direction=flipped)
    write_image(labels(), label(sound, 3), direction=flipped)
    problem = only_problem(sound)
    assert "LPS in 4, RAS in 1 cases; not LPS: case_003" in problem.problem
    assert "SimpleITKIOWithReorient" in problem.remedy
    write_description(sound, overwrite_image_reader_writer="SimpleITKIOWithReorient")
    assert check(sound).problems == ()


def test_an_all_zero_case_is_an_error_and_a_constant_channel_a_warning(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", channel_names={"0": "CT", "1": "PET"})
    for channel in range(2):
        write_image(0 * voxels(0), folder / "imagesTr" / f"case_000_{channel:04d}.nii.gz")
    write_image(0 * voxels(0) + 7, folder / "imagesTr" / "case_001_0001.nii.gz")
    error, warning = check(folder).problems
    assert (error.case, error.severity, error.problem) == ("case_000", "error", "every voxel of the case is 0")
    assert (warning.file, warning.severity) == ("case_001_0001.nii.gz", "warning")
    assert "the same value (7)" in warning.problem


@pytest.mark.parametrize(("shape", "axis"), [((6, 8, 1), "x"), ((6, 1, 10), "y")])
def test_a_two_dimensional_image_along_another_axis_is_a_warning(sound, shape, axis):
    write_image(voxels(0, shape), image(sound, 0))
    write_image(np.ones(shape, np.uint8), label(sound, 0))
    warning = next(problem for problem in check(sound).problems if f"is flat along {axis}" in problem.problem)
    assert (warning.file, warning.severity) == ("case_000_0000.nii.gz", "warning")


def test_slices_among_volumes_are_a_warning(sound):
    write_image(voxels(0, (1, 8, 10)), image(sound, 0))
    write_image(labels((1, 8, 10)), label(sound, 0))
    assert "2-D images (case_000) and volumes" in only_problem(sound).problem


@pytest.mark.parametrize("spacing", ["0", "nan"])
def test_a_spacing_of_zero_or_nan_is_an_error(tmp_path, spacing):
    folder = write_raw_dataset(tmp_path / "D", file_ending=".mha")
    path = folder / "imagesTr" / "case_001_0000.mha"
    header, _, data = path.read_bytes().partition(b"ElementSpacing = 0.5 0.75 2\n")
    path.write_bytes(header + f"ElementSpacing = 0.5 0.75 {spacing}\n".encode() + data)
    errors = check(folder).errors
    assert {(error.case, error.severity) for error in errors} == {("case_001", "error")}
    assert any("spacing" in error.problem.lower() for error in errors)


def test_a_label_file_with_channels_is_an_error(sound):
    joined = sitk.JoinSeries([sitk_image(labels()), sitk_image(labels())])
    sitk.WriteImage(joined, str(label(sound, 0)))
    assert "a segmentation has one channel, not 2" in only_problem(sound).problem


def test_identical_images_are_a_warning(sound):
    shutil.copy(image(sound, 1), image(sound, 4))
    assert "case_001, case_004 are identical" in only_problem(sound).problem


def test_identifiers_that_differ_in_case_only_are_a_warning(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", ["a", "A", "b", "c", "d"])
    if len(load_dataset(folder).cases) < 5:
        pytest.skip("NOT TESTED: this file system does not tell a from A")
    assert "A, a differ only in upper and lower case" in only_problem(folder).problem


def test_files_that_belong_to_no_case_are_warned_of(sound):
    write_image(labels(), sound / "labelsTr" / "stranger.nii.gz")
    write_image(voxels(8), sound / "imagesTr" / "stranger.nii.gz")
    (sound / "imagesTr" / "notes.txt").touch()
    first, second = check(sound).problems
    assert {first.severity, second.severity} == {"warning"}
    assert {first.problem, second.problem} == {
        "is no image of any case, and is not used",
        "has no image in imagesTr, and is not used",
    }


def test_gaps_in_the_numbering_of_channels_are_warned_of(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", channel_names={"0": "CT", "1": "PET"})
    path = folder / "imagesTr" / "case_000_0001.nii.gz"
    path.rename(path.with_name("case_000_0004.nii.gz"))
    assert "its channels are numbered 0000, 0004" in only_problem(folder).problem


def test_old_and_unknown_keys_are_warned_of(tmp_path):
    folder = write_raw_dataset(
        tmp_path / "D", channel_names=None, modality={"0": "CT"}, overwrite_image_reader_writer="MadeUpIO"
    )
    assert {problem.problem.split()[0] for problem in check(folder).warnings} == {
        '"modality"',
        '"overwrite_image_reader_writer"',
    }


def test_splits_that_name_unknown_cases_are_an_error(sound):
    splits = [{"train": ["case_000", "case_009"], "val": ["case_001"]}]
    (sound / "splits_final.json").write_text(json.dumps(splits), encoding="utf-8")
    problem = only_problem(sound)
    assert (problem.severity, problem.file) == ("error", "splits_final.json")
    assert "(case_009)" in problem.problem
    (sound / "splits_final.json").write_text('{"train": []}', encoding="utf-8")
    assert "is not a list of folds" in only_problem(sound).problem


def test_stacks_without_a_spacing_file_are_warned_of_once(tmp_path):
    folder = tmp_path / "D"
    write_description(folder, file_ending=".tif")
    for number in range(5):
        (folder / "imagesTr").mkdir(exist_ok=True)
        (folder / "labelsTr").mkdir(exist_ok=True)
        stack = sitk.GetImageFromArray(np.abs(voxels(number)).astype(np.uint16))
        sitk.WriteImage(stack, str(folder / "imagesTr" / f"case_{number:03d}_0000.tif"))
        sitk.WriteImage(sitk.GetImageFromArray(labels()), str(folder / "labelsTr" / f"case_{number:03d}.tif"))
    problem = only_problem(folder)
    assert problem.problem == "no spacing is known for 5 of 5 images; 1 mm is assumed"
    assert "case_000.json" in problem.remedy


def test_progress_is_told_and_a_stop_is_obeyed(sound):
    class Impatient(Reporter):
        told: int = 0

        def event(self, event, **fields):
            self.told += event == "progress"

        def stop_requested(self):
            return self.told > 2

    with pytest.raises(StopRequested, match="check was stopped after 2 of 5 cases"):
        check_dataset(load_dataset(sound), reporter=Impatient())


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"NOT TESTED: {REAL_DATA} is absent")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("Dataset004_Hippocampus", 200),
        ("Dataset501_STS_MR", 28),
        ("Dataset502_STS_PETCT", 22),
        ("Dataset503_MSLesion4ch", 3),
        ("Dataset505_AxonSEM2D", 8),
    ],
)
def test_real_datasets_are_sound(name, count):
    report = check_dataset(load_dataset(REAL_DATA / name))
    assert (report.ok, report.case_count) == (True, count)
