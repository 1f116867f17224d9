"""Segment tables, names and files that cannot be imported: a sentence that names the file, and nothing is left."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.importing import import_decathlon, import_nnunet_v1, import_pairs

SOUND = {"Segment0_Name": "ball", "Segment0_LabelValue": "1", "Segment0_Layer": "0"}
TABLES = {
    "a value that is text": {"Segment0_LabelValue": "x"},
    "a value that is a fraction": {"Segment0_LabelValue": "1.5"},
    "a value below zero": {"Segment0_LabelValue": "-1"},
    "the value of the background": {"Segment0_LabelValue": "0"},
    "a value of a billion": {"Segment0_LabelValue": "1000000000"},
    "an endless value": {"Segment0_LabelValue": "1" * 10_000},
    "digits of another script": {"Segment0_LabelValue": "\u0661"},
    "a layer that is text": {"Segment0_Layer": "x"},
    "a layer below zero": {"Segment0_Layer": "-1"},
    "a layer that is not there": {"Segment0_Layer": "7"},
    "a layer of a billion": {"Segment0_Layer": "1000000000"},
    "an empty name": {"Segment0_Name": "  "},
    "a name of two lines": {"Segment0_Name": "a\x01b"},
    "an endless name": {"Segment0_Name": "x" * 10_000},
    "the name of the background": {"Segment0_Name": "Background"},
    "leading zeros": {"Segment0000_Name": "ball"},
    "a huge number": {"Segment9999999999_Name": "x"},
    "an endless number": {f"Segment{'9' * 5000}_Name": "x"},
    "the same voxels twice": {"Segment1_Name": "b", "Segment1_LabelValue": "1", "Segment1_Layer": "0"},
    "thousands": {f"Segment{n}_{key}": value for n in range(1, 5001) for key, value in
                  {"Name": f"s{n}", "LabelValue": f"{n + 1}", "Layer": "0"}.items()},
}  # fmt: skip


def write_pair(folder: Path, table: dict[str, str], name: str = "a", array: np.ndarray | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    if array is None:
        array = np.zeros((4, 5, 6), np.uint8)
        array[1:3, 1:3, 1:3] = 1
    sitk.WriteImage(sitk.GetImageFromArray(np.ones(array.shape, np.float32)), str(folder / f"{name}.nrrd"))
    labels = sitk.GetImageFromArray(array)
    for key, value in table.items():
        labels.SetMetaData(key, value)
    sitk.WriteImage(labels, str(folder / f"{name}.seg.nrrd"))
    return folder / f"{name}.seg.nrrd"


def is_refused(tmp_path: Path, *named: Path) -> None:
    with pytest.raises(UserInputError) as caught:
        import_pairs(tmp_path / "pairs", tmp_path / "raw", 1, "Balls", workers=1)
    assert any(str(path) in str(caught.value) for path in named), caught.value
    assert not (tmp_path / "raw").exists() or list((tmp_path / "raw").iterdir()) == []


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_that_cannot_be_is_refused(tmp_path, kind):
    is_refused(tmp_path, write_pair(tmp_path / "pairs", {**SOUND, **TABLES[kind]}))


def test_what_nobody_reads_of_a_table_does_no_harm(tmp_path):
    odd = {"Segment0_Extent": "0 999999999 x", "Segment0_Color": "nan inf -1", "Segment0_Tags": "x|" * 20_000}
    write_pair(tmp_path / "pairs", {**SOUND, **odd})
    done = import_pairs(tmp_path / "pairs", tmp_path / "raw", 1, "Balls", workers=1)
    label = sitk.GetArrayFromImage(sitk.ReadImage(str(next((done.folder / "labelsTr").iterdir()))))
    assert (label.sum(), label.max()) == (8, 1)


def test_a_background_that_is_not_chosen_is_no_obstacle(tmp_path):
    other = {"Segment1_Name": "background", "Segment1_LabelValue": "2", "Segment1_Layer": "0"}
    write_pair(tmp_path / "pairs", {**SOUND, **other})
    assert import_pairs(tmp_path / "pairs", tmp_path / "raw", 1, "Balls", segments=["ball"], workers=1).case_count == 1


@pytest.mark.parametrize("largest", [5000, 70_000, -1])
def test_an_image_taken_for_labels_is_refused_before_each_value_is_looked_for(tmp_path, largest):
    array = np.linspace(0, largest, 20 * 20 * 20).round().astype(np.int32).reshape(20, 20, 20)
    is_refused(tmp_path, write_pair(tmp_path / "pairs", {}, array=array))


@pytest.mark.skipif(os.name != "posix", reason="NOT TESTED: such names cannot be on Windows")
@pytest.mark.parametrize("name", ["con", "x" * 200, "a\nb", "a\\b", " a"])
def test_a_name_that_no_case_can_have_is_refused(tmp_path, name):
    write_pair(tmp_path / "pairs", SOUND, name)
    with pytest.raises(UserInputError, match="case's name"):
        import_pairs(tmp_path / "pairs", tmp_path / "raw", 1, "Balls", workers=1)
    assert not (tmp_path / "raw").exists()


@pytest.fixture(params=[import_decathlon, import_nnunet_v1])
def task(request, tmp_path):
    """(the import, a sound task for it, the ending of its images)"""
    source, ending = tmp_path / "Task001_Balls", "" if request.param is import_decathlon else "_0000"
    for part in ("imagesTr", "labelsTr"):
        (source / part).mkdir(parents=True)
    image = sitk.GetImageFromArray(np.ones((4, 5, 6), np.uint8))
    sitk.WriteImage(image, str(source / "imagesTr" / f"a{ending}.nii.gz"))
    sitk.WriteImage(image, str(source / "labelsTr" / "a.nii.gz"))
    listed = [{"image": "../../x", "label": "/etc/passwd"}]
    description = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "a"}, "training": listed}
    (source / "dataset.json").write_text(json.dumps(description))
    return request.param, source, ending


def test_paths_that_a_description_lists_are_not_followed(task, tmp_path):
    bring, source, _ = task
    done = bring(source, tmp_path / "raw", workers=1)
    assert sorted(path.name for path in done.folder.rglob("*.nii.gz")) == ["a.nii.gz", "a_0000.nii.gz"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="NOT TESTED: no pipes in the file system here")
@pytest.mark.parametrize("what", ["pipe", "device", "circle", "folder"])
@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_what_is_no_file_in_a_task_is_refused(task, tmp_path, what, part):
    bring, source, ending = task
    path = source / part / f"a{ending if part == 'imagesTr' else ''}.nii.gz"
    path.unlink()
    make = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "circle": lambda: path.symlink_to(path),
        "folder": path.mkdir,
    }
    make[what]()
    with pytest.raises(UserInputError, match=path.name):
        bring(source, tmp_path / "raw", workers=1)
    assert not (tmp_path / "raw").exists() or list((tmp_path / "raw").iterdir()) == []
