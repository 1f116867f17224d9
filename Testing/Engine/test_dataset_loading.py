"""From a folder to a Dataset: which cases, which files, which reader, which sentence when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from SegAutoPlanLib.dataset import load_dataset, read_case
from SegAutoPlanLib.errors import UserInputError
from Testing.Engine.raw_datasets import labels, voxels, write_description, write_image, write_raw_dataset


def sentence(folder: Path) -> str:
    with pytest.raises(UserInputError) as caught:
        load_dataset(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_cases_are_sorted_and_have_their_files_in_channel_order(tmp_path):
    names = {"0": "CT", "1": "PET"}
    dataset = load_dataset(write_raw_dataset(tmp_path / "Dataset001_A", ["b", "a"], channel_names=names))
    assert [case.identifier for case in dataset.cases] == ["a", "b"]
    assert [path.name for path in dataset.cases[0].image_files] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert dataset.cases[0].label_file == tmp_path / "Dataset001_A" / "labelsTr" / "a.nii.gz"
    assert (dataset.name, dataset.channel_names, dataset.image_io) == ("Dataset001_A", ("CT", "PET"), "SimpleITKIO")


@pytest.mark.parametrize("identifier", ["a+b(1)", "p_0001", "x.y.z", "[a]", "Größe 1", "1", "a_0000_0001"])
def test_case_identifiers_may_contain_anything_a_file_name_may(tmp_path, identifier):
    dataset = load_dataset(write_raw_dataset(tmp_path / "D", [identifier, "other"]))
    case = next(case for case in dataset.cases if case.identifier == identifier)
    assert [path.name for path in case.image_files] == [f"{identifier}_0000.nii.gz"]
    assert read_case(dataset, case)[1] is not None


def test_labels_and_regions_keep_the_order_of_the_file(tmp_path):
    regions = {"background": 0, "b": [2, 3], "a": [1, 2, 3]}
    folder = write_raw_dataset(tmp_path / "D", labels=regions, regions_class_order=[1, 2])
    dataset = load_dataset(folder)
    assert dataset.label_scheme.regions == ((2, 3), (1, 2, 3))
    assert list(dataset.dataset_json.document["labels"]) == ["background", "b", "a"]
    (folder / "dataset.json").write_text(json.dumps(dataset.dataset_json.document), encoding="utf-8")
    assert load_dataset(folder).label_scheme.entries == dataset.label_scheme.entries


def test_the_legacy_name_of_channels_is_understood(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", channel_names=None, modality={"0": "MR"})
    assert load_dataset(folder).channel_names == ("MR",)


def test_a_dataset_key_lists_files_with_variables_and_relative_paths(tmp_path, monkeypatch):
    scanned = load_dataset(write_raw_dataset(tmp_path / "D", 3))
    monkeypatch.setenv("STORE", str(tmp_path / "D"))
    listed = {
        case.identifier: {
            "images": [f"$STORE/imagesTr/{case.image_files[0].name}"],
            "label": f"../D/labelsTr/{case.label_file.name}",
        }
        for case in scanned.cases
    }
    write_description(tmp_path / "E", numTraining=3, dataset=listed)
    dataset = load_dataset(tmp_path / "E")
    assert [case.identifier for case in dataset.cases] == [case.identifier for case in scanned.cases]
    for case, other in zip(dataset.cases, scanned.cases, strict=True):
        assert case.label_file.samefile(other.label_file)
        assert read_case(dataset, case)[0].array.tolist() == read_case(scanned, other)[0].array.tolist()


@pytest.mark.parametrize(
    ("ending", "reader"),
    [(".nrrd", "SimpleITKIO"), (".mha", "SimpleITKIO"), (".gipl", "SimpleITKIO"), (".nii", "NibabelIO")],
)
def test_the_reader_is_the_one_nnunet_would_choose(tmp_path, ending, reader):
    assert load_dataset(write_raw_dataset(tmp_path / "D", 2, file_ending=ending)).image_io == reader


def test_a_reader_named_in_the_description_is_used_and_an_unknown_one_is_not(tmp_path):
    named = write_raw_dataset(tmp_path / "D", 2, overwrite_image_reader_writer="SimpleITKIOWithReorient")
    assert load_dataset(named).image_io == "SimpleITKIOWithReorient"
    unknown = write_raw_dataset(tmp_path / "E", 2, overwrite_image_reader_writer="MadeUpIO")
    assert load_dataset(unknown).image_io == "SimpleITKIO"


def test_a_missing_channel_names_the_file(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", 3, channel_names={"0": "CT", "1": "PET"})
    (folder / "imagesTr" / "case_001_0001.nii.gz").unlink()
    dataset = load_dataset(folder)
    with pytest.raises(UserInputError, match=r"case_001_0001\.nii\.gz: the file is missing; add it"):
        read_case(dataset, dataset.cases[1])


def test_a_channel_missing_from_every_case_is_told_by_the_count(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", 2)
    write_description(folder, numTraining=2, channel_names={"0": "CT", "1": "PET"})
    dataset = load_dataset(folder)
    with pytest.raises(UserInputError, match=r"has 1 channel, but dataset.json names 2 \(CT, PET\)"):
        read_case(dataset, dataset.cases[0])


def test_different_grids_of_image_and_label_name_both_files(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", 2)
    write_image(labels((6, 8, 11)), folder / "labelsTr" / "case_000.nii.gz")
    dataset = load_dataset(folder)
    with pytest.raises(UserInputError, match=r"case_000\.nii\.gz: its grid is 6 x 8 x 11 .*case_000_0000\.nii\.gz"):
        read_case(dataset, dataset.cases[0])


def test_an_unknown_label_value_is_named_with_the_known_ones(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", 2)
    write_image(labels(values=(1, 7)), folder / "labelsTr" / "case_000.nii.gz")
    dataset = load_dataset(folder)
    with pytest.raises(UserInputError, match=r"case_000\.nii\.gz: label 7 is not in dataset\.json .*0, 1, 2"):
        read_case(dataset, dataset.cases[0])


def test_the_ignore_label_is_a_known_value(tmp_path):
    names = {"background": 0, "liver": 1, "ignore": 2}
    dataset = load_dataset(write_raw_dataset(tmp_path / "D", 2, labels=names))
    assert read_case(dataset, dataset.cases[0])[1].array.max() == 2


def test_a_missing_description_says_what_a_dataset_is(tmp_path):
    assert "dataset.json: the file is missing" in sentence(tmp_path)


@pytest.mark.parametrize("key", ["channel_names", "labels", "numTraining", "file_ending"])
def test_a_missing_key_is_named(tmp_path, key):
    assert f'lacks "{key}"' in sentence(write_raw_dataset(tmp_path / "D", 2) and _without(tmp_path / "D", key))


def test_several_missing_keys_are_named_at_once(tmp_path):
    write_description(tmp_path, labels=None, numTraining=None)
    assert 'lacks "labels", "numTraining"' in sentence(tmp_path)


def test_broken_json_is_a_sentence(tmp_path):
    (tmp_path / "dataset.json").write_text('{"labels": ', encoding="utf-8")
    assert "is not valid JSON" in sentence(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": {"liver": 1}}, '"background" with value 0'),
        ({"labels": {"background": 0, "liver": 2}}, "consecutive"),
        ({"labels": {"background": 0, "liver": 1, "ignore": 5}}, '"ignore" must be the highest value'),
        ({"labels": {"background": 0, "all": [1, 2]}}, "regions_class_order"),
        ({"labels": {"background": 0, "liver": "1"}}, "must be an integer"),
        ({"labels": {"background": 0, "all": [1, "2"]}, "regions_class_order": [1]}, "list of integers"),
        ({"labels": {"background": 0, "all": [1, 2]}, "regions_class_order": "1"}, "list of integers"),
        ({"numTraining": "five"}, "whole number"),
        ({"file_ending": "nii.gz"}, "starts with a dot"),
        ({"file_ending": ".docx"}, "is not a type that can be read"),
        ({"channel_names": ["CT"]}, "channel_names"),
        ({"dataset": {"a": {"images": []}}}, "entry a lacks"),
    ],
)
def test_a_wrong_value_is_a_sentence(tmp_path, changes, words):
    folder = write_raw_dataset(tmp_path / "D", 2)
    if ".docx" in changes.values():
        (folder / "imagesTr" / "a_0000.docx").touch()
    write_description(folder, **changes)
    assert words in sentence(folder)


def test_a_folder_without_images_says_how_they_are_named(tmp_path):
    write_description(tmp_path)
    assert "imagesTr: the folder is missing" in sentence(tmp_path)
    (tmp_path / "imagesTr").mkdir()
    assert "CASE_0000.nii.gz" in sentence(tmp_path)


def test_a_decathlon_or_version_1_dataset_is_recognised(tmp_path):
    write_description(tmp_path, labels={"0": "background", "1": "liver"}, training=[], file_ending=None)
    assert "import" in sentence(tmp_path)


def test_loading_reads_no_images_but_may_open_one(tmp_path):
    folder = write_raw_dataset(tmp_path / "D", 3)
    for path in (folder / "imagesTr").iterdir():
        path.write_bytes(b"no image")
    assert load_dataset(folder).image_io == "SimpleITKIO"
    write_image(voxels(0), folder / "imagesTr" / "case_000_0000.nii.gz")
    assert load_dataset(folder).image_io == "SimpleITKIO"


def _without(folder: Path, key: str) -> Path:
    description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    del description[key]
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return folder
