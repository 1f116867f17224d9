"""Checking, preprocessing and evaluating say the same of a label file, and the first two of a whole case."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.dataset import check_dataset, load_dataset
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.evaluation import agreement, evaluate_folder
from SegAutoPlanLib.fingerprint import extract_fingerprint
from SegAutoPlanLib.labels import LabelScheme

from .image_bytes import gzipped, nifti
from .raw_datasets import labels, sitk_image, voxels, write_image, write_raw_dataset

SCHEME = LabelScheme((("background", 0), ("liver", 1), ("tumour", 2)))
IDENTIFIERS = ("case_000", "case_001")


def one_voxel(value: float, dtype: str) -> np.ndarray:
    array = labels().astype(dtype)
    array[1, 2, 3] = value
    return array


def write_two_channels(array: np.ndarray, path: Path) -> None:
    sitk.WriteImage(sitk.JoinSeries([sitk_image(array)] * 2), str(path))


BAD_LABELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "-1": (lambda path: write_image(one_voxel(-1, "i2"), path), "label -1 is not in dataset.json"),
    "-1 in 8 bits": (lambda path: write_image(one_voxel(-1, "i1"), path), "label -1 is not in dataset.json"),
    "3": (lambda path: write_image(one_voxel(3, "u1"), path), "label 3 is not in dataset.json"),
    "255": (lambda path: write_image(one_voxel(255, "u1"), path), "label 255 is not in dataset.json"),
    "60000": (lambda path: write_image(one_voxel(60000, "u2"), path), "label 60000 is not in dataset.json"),
    "60000 as a real number": (lambda path: write_image(one_voxel(6e4, "f4"), path), "label 60000 is not in"),
    "2^31 - 1": (lambda path: write_image(one_voxel(2**31 - 1, "i4"), path), "label 2147483647 is not in"),
    "-2^31": (lambda path: write_image(one_voxel(-(2**31), "i4"), path), "holds the value"),
    "2^32 - 1": (lambda path: write_image(one_voxel(2**32 - 1, "u4"), path), "holds the value 4294967295"),
    "2^40": (lambda path: write_image(one_voxel(2**40, "f8"), path), "holds the value 1099511627776"),
    "1e300": (lambda path: write_image(one_voxel(1e300, "f8"), path), "holds voxels beyond"),
    "NaN": (lambda path: write_image(one_voxel(np.nan, "f4"), path), "holds NaN voxels"),
    "infinite": (lambda path: write_image(one_voxel(np.inf, "f4"), path), "holds infinite voxels"),
    "fraction": (lambda path: write_image(one_voxel(0.5, "f4"), path), "not whole numbers"),
    "almost whole": (lambda path: write_image(one_voxel(1.0001, "f8"), path), "not whole numbers"),
    "scaled": (
        lambda path: path.write_bytes(gzipped(nifti(dim=(3, 10, 8, 6, 1, 1, 1, 1), scl=(0.5, 0), voxels=bytes(480)
                                                    + b"\1\0" + bytes(478)))),
        "not whole numbers",
    ),
    "two channels": (lambda path: write_two_channels(labels(), path),
                     "one channel, not 2"),
    "other shape": (lambda path: write_image(labels((6, 8, 11)), path), "its grid is 6 x 8 x 11"),
    "other spacing": (lambda path: write_image(labels(), path, spacing=(0.5, 0.75, 3.0)), "its spacing is 3"),
    "other spacing a little": (lambda path: write_image(labels(), path, spacing=(0.5, 0.75, 2.001)), "its spacing is"),
    "no image": (lambda path: path.write_bytes(b"nothing"), "is not of the type that its ending says"),
    "missing": (lambda path: path.unlink(), "the file is missing|is missing"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-20]), "is cut short"),
    "damaged": (lambda path: path.write_bytes(path.read_bytes()[:-8] + bytes(8)), "is damaged"),
}  # fmt: skip


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_raw_dataset(tmp_path / "Dataset001_Bad", IDENTIFIERS)


def fingerprint(folder: Path) -> None:
    """Every stage reads its cases as this one does."""
    extract_fingerprint(load_dataset(folder), workers=1)


@pytest.mark.parametrize(("spoil", "words"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_what_is_wrong_with_a_label_file_is_wrong_everywhere(dataset, tmp_path, spoil, words):
    label = dataset / "labelsTr" / "case_000.nii.gz"
    sound = tmp_path / "sound"
    shutil.copytree(label.parent, sound)
    spoil(label)
    errors = check_dataset(load_dataset(dataset), workers=1).errors
    said = [f"{problem.problem}; {problem.remedy}" for problem in errors if problem.file == label.name]
    assert len(said) == 1
    with pytest.raises(UserInputError, match=words) as caught:
        fingerprint(dataset)
    assert said[0] in str(caught.value)
    for references, predictions in ((sound, label.parent), (label.parent, sound)):
        with pytest.raises(
            UserInputError, match=words if not words.startswith("its ") else "its (grid|spacing) is"
        ) as refused:
            evaluate_folder(references, predictions, SCHEME, ".nii.gz", "SimpleITKIO", workers=1)
        assert label.name in str(refused.value)


BAD_IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "NaN": (lambda path: write_image(np.full((6, 8, 10), np.nan, np.float32), path), "holds NaN voxels"),
    "infinite": (lambda path: write_image(np.full((6, 8, 10), -np.inf, np.float32), path), "holds infinite voxels"),
    "zero": (lambda path: write_image(np.zeros((6, 8, 10), np.int16), path), "0|zero everywhere"),
    "two channels": (lambda path: write_two_channels(voxels(0), path),
                     "has 2 channels"),
    "other shape": (lambda path: write_image(voxels(0, (6, 8, 11)), path), "its grid is"),
    "spacing 0": (lambda path: path.write_bytes(gzipped(nifti(pixdim=(1, 0, 1, 1, 0, 0, 0, 0)))), "its spacing is"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-20]), "is cut short"),
    "damaged": (lambda path: path.write_bytes(path.read_bytes()[:-8] + bytes(8)), "is damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_what_the_check_calls_an_error_in_an_image_is_refused_by_the_stages(dataset, spoil, words):
    image = dataset / "imagesTr" / "case_000_0000.nii.gz"
    spoil(image)
    assert not check_dataset(load_dataset(dataset), workers=1).ok
    with pytest.raises(UserInputError, match=words):
        fingerprint(dataset)


def test_the_sound_dataset_passes_all_three(dataset, tmp_path):
    assert check_dataset(load_dataset(dataset), workers=1).ok
    fingerprint(dataset)
    shutil.copytree(dataset / "labelsTr", tmp_path / "copy")
    result = evaluate_folder(dataset / "labelsTr", tmp_path / "copy", SCHEME, ".nii.gz", "SimpleITKIO", workers=1)
    assert result.foreground_mean() == 1


PLACES = {
    "origin": ({"origin": (12.0, -20.0, 30.0)}, "its origin is 2 mm away"),
    "direction": ({"direction": (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)}, "its axes point in other directions"),
}


@pytest.mark.parametrize(("geometry", "words"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("reader", ["SimpleITKIO", "NibabelIO"])
def test_evaluation_refuses_a_segmentation_that_lies_elsewhere(tmp_path, geometry, words, reader):
    write_image(labels(), tmp_path / "ref" / "a.nii.gz")
    write_image(labels(), tmp_path / "pred" / "a.nii.gz", **geometry)
    folders = tmp_path / "ref", tmp_path / "pred"
    with pytest.raises(UserInputError, match=words):
        evaluate_folder(*folders, SCHEME, ".nii.gz", reader, workers=1)
    assert evaluate_folder(*folders, SCHEME, ".nii.gz", reader, workers=1, same_place=False).foreground_mean() == 1


def test_evaluation_passes_over_what_a_file_type_rounds(tmp_path):
    write_image(labels(), tmp_path / "ref" / "a.nii.gz", origin=(10.0001, -20.0, 30.0))
    write_image(labels(), tmp_path / "pred" / "a.nii.gz")
    assert evaluate_folder(tmp_path / "ref", tmp_path / "pred", SCHEME, ".nii.gz", "SimpleITKIO", workers=1)


def test_sixty_thousand_labels_need_no_table_of_all_their_pairs():
    values = tuple(("background" if value == 0 else f"l{value}", value) for value in (0, 1, 60000))
    reference = np.array([0, 1, 60000, 60000], np.int32).reshape(1, 1, 2, 2)
    prediction = np.array([0, 1, 60000, 1], np.int32).reshape(1, 1, 2, 2)
    result = agreement(reference, prediction, LabelScheme(values))
    assert (result[60000]["TP"], result[60000]["FN"], result[1]["FP"], result[1]["TN"]) == (1, 1, 1, 2)


@pytest.mark.parametrize("reader", ["NibabelIOWithReorient", "SimpleITKIOWithReorient"])
def test_segmentations_whose_axes_the_reader_turns_lie_in_the_same_place(tmp_path, reader):
    image = sitk_image(labels())
    for name, kept in (("ref", image), ("pred", sitk.DICOMOrient(image, "PIR"))):
        (tmp_path / name).mkdir()
        sitk.WriteImage(kept, str(tmp_path / name / "a.nii.gz"))
    result = evaluate_folder(tmp_path / "ref", tmp_path / "pred", SCHEME, ".nii.gz", reader, workers=1)
    assert result.foreground_mean() == 1


def test_a_stack_without_a_spacing_file_is_evaluated_as_one_with_it(tmp_path):
    for name in ("ref", "pred"):
        write_image(labels(), tmp_path / name / "a.tif")
    (tmp_path / "pred" / "a.json").write_text('{"spacing": [2.0, 0.75, 0.5]}', encoding="utf-8")
    folders = tmp_path / "ref", tmp_path / "pred"
    assert evaluate_folder(*folders, SCHEME, ".tif", "Tiff3DIO", workers=1).foreground_mean() == 1
    (tmp_path / "ref" / "a.json").write_text('{"spacing": [2.0, 0.75, 0.6]}', encoding="utf-8")
    with pytest.raises(UserInputError, match=r"a\.tif: its spacing is 2 x 0\.75 x 0\.5"):
        evaluate_folder(*folders, SCHEME, ".tif", "Tiff3DIO", workers=1)


@pytest.mark.skipif(os.name == "nt", reason="NOT TESTED: links need a privilege on Windows")
def test_a_file_that_the_system_refuses_is_one_problem_among_the_others(dataset):
    for number, folder in enumerate(("imagesTr/case_000_0000", "labelsTr/case_001")):
        path = dataset / f"{folder}.nii.gz"
        path.unlink()
        path.symlink_to(path.name if number == 0 else "/dev/zero")
    problems = {error.file: error.problem for error in check_dataset(load_dataset(dataset), workers=1).errors}
    assert problems["case_000_0000.nii.gz"] == "its links lead in a circle"
    assert "device" in problems["case_001.nii.gz"]
