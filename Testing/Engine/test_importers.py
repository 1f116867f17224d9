"""Datasets of other layouts become raw datasets that check_dataset finds sound, or nothing at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SegAutoPlanLib.dataset import check_dataset, load_dataset, read_case
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.images import read_image, read_segmentation
from SegAutoPlanLib.importing import import_decathlon, import_nnunet_v1, import_pairs
from SegAutoPlanLib.progress import Reporter
from Testing.Engine.raw_datasets import OBLIQUE, labels, sitk_image, voxels, write_image, write_raw_dataset

SHAPE = (6, 8, 10)


def box(start: tuple[int, int, int], stop: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1
    return mask


LIVER = box((1, 1, 1), (4, 5, 5))
TUMOUR_INSIDE = box((2, 2, 2), (3, 4, 4))
VESSEL = box((1, 5, 6), (4, 7, 9))


def write_slicer_segmentation(path: Path, layers: list[dict[str, np.ndarray]], **geometry) -> Path:
    """As Slicer writes `.seg.nrrd`: a label map a layer, and a name, layer and value for each segment."""
    maps, metadata = [], {}
    for layer, segments in enumerate(layers):
        array = np.zeros(next(iter(segments.values())).shape, np.uint8)
        for value, (name, mask) in enumerate(segments.items(), start=1):
            array[mask > 0] = value
            prefix = f"Segment{len(metadata) // 3}"
            metadata |= {f"{prefix}_Name": name, f"{prefix}_LabelValue": value, f"{prefix}_Layer": layer}
        maps.append(sitk_image(array, **geometry))
    image = sitk.Compose(maps) if len(maps) > 1 else maps[0]
    for key, value in metadata.items():
        image.SetMetaData(key, str(value))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), True)
    return path


def nothing_is_left(root: Path) -> bool:
    return not root.exists() or list(root.iterdir()) == []


def description_of(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text(encoding="utf-8"))


@pytest.fixture
def decathlon(tmp_path) -> Path:
    """Task03_Liver with two channels as a fourth axis, macOS litter included."""
    source = tmp_path / "Task03_Liver"
    for part, count in (("imagesTr", 5), ("imagesTs", 1)):
        (source / part).mkdir(parents=True)
        for number in range(count):
            channels = [sitk_image(voxels(10 * channel + number), direction=OBLIQUE) for channel in (0, 1)]
            sitk.WriteImage(sitk.JoinSeries(channels), str(source / part / f"liver_{number}.nii.gz"))
            (source / part / f"._liver_{number}.nii.gz").write_bytes(b"litter")
    for number in range(5):
        write_image(labels(), source / "labelsTr" / f"liver_{number}.nii.gz", direction=OBLIQUE)
    description = {
        "name": "Liver",
        "tensorImageSize": "4D",
        "modality": {"0": "CT", "1": "PET"},
        "labels": {"0": "background", "1": "liver", "2": "cancer"},
        "numTraining": 7,
        "training": [],
        "test": [],
    }
    (source / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return source


def test_a_decathlon_task_is_split_into_channels(decathlon, tmp_path):
    done = import_decathlon(decathlon, tmp_path / "raw")
    assert (done.folder, done.case_count) == (tmp_path / "raw" / "Dataset003_Liver", 5)
    dataset = load_dataset(done.folder)
    assert check_dataset(dataset).problems == ()
    assert (dataset.channel_names, dataset.num_training) == (("CT", "PET"), 5)
    assert description_of(done.folder)["labels"] == {"background": 0, "liver": 1, "cancer": 2}
    image, segmentation = read_case(dataset, dataset.cases[2])
    np.testing.assert_array_equal(image.array, [voxels(2), voxels(12)])
    np.testing.assert_array_equal(segmentation.array[0], labels())
    assert image.header.sitk.direction == pytest.approx(OBLIQUE, abs=1e-6)
    assert [path.name for path in sorted((done.folder / "imagesTs").iterdir())] == [
        "liver_0_0000.nii.gz",
        "liver_0_0001.nii.gz",
    ]


def test_a_decathlon_task_may_take_another_id_but_no_taken_one(decathlon, tmp_path):
    assert import_decathlon(decathlon, tmp_path / "raw", 42).folder.name == "Dataset042_Liver"
    with pytest.raises(UserInputError, match="the dataset id 42 is taken"):
        import_decathlon(decathlon, tmp_path / "raw", 42)


@pytest.mark.parametrize("damage", ["label", "image", "channels", "description"])
def test_a_broken_decathlon_task_leaves_nothing_behind(decathlon, tmp_path, damage):
    if damage == "label":
        (decathlon / "labelsTr" / "liver_3.nii.gz").unlink()
    elif damage == "image":
        (decathlon / "imagesTr" / "liver_3.nii.gz").write_bytes(b"no image")
    elif damage == "channels":
        write_image(voxels(0), decathlon / "imagesTr" / "liver_3.nii.gz")
    else:
        (decathlon / "dataset.json").write_text('{"labels": {"1": "liver"}, "modality": {"0": "CT"}}', encoding="utf-8")
    with pytest.raises(UserInputError, match=r"dataset\.json" if damage == "description" else r"liver_3\.nii\.gz"):
        import_decathlon(decathlon, tmp_path / "raw")
    assert nothing_is_left(tmp_path / "raw")


def test_a_stop_during_import_leaves_nothing_behind(decathlon, tmp_path):
    class Stop(Reporter):
        def stop_requested(self):
            return True

    with pytest.raises(StopRequested):
        import_decathlon(decathlon, tmp_path / "raw", reporter=Stop())
    assert nothing_is_left(tmp_path / "raw")


@pytest.fixture
def version_1(tmp_path) -> Path:
    source = write_raw_dataset(tmp_path / "Task017_Kidney", channel_names={"0": "CT", "1": "MR"})
    old = {
        "modality": {"0": "CT", "1": "MR"},
        "labels": {"0": "Background", "1": "kidney", "2": "cyst"},
        "numTraining": 5,
        "numTest": 0,
        "training": [],
        "test": [],
        "tensorImageSize": "4D",
    }
    (source / "dataset.json").write_text(json.dumps(old), encoding="utf-8")
    return source


def test_a_version_1_dataset_is_taken_over(version_1, tmp_path):
    done = import_nnunet_v1(version_1, tmp_path / "raw")
    dataset = load_dataset(done.folder)
    assert (dataset.name, check_dataset(dataset).problems) == ("Dataset017_Kidney", ())
    assert description_of(done.folder) == {
        "labels": {"background": 0, "kidney": 1, "cyst": 2},
        "numTraining": 5,
        "channel_names": {"0": "CT", "1": "MR"},
        "file_ending": ".nii.gz",
    }
    np.testing.assert_array_equal(read_case(dataset, dataset.cases[0])[0].array, [voxels(0), voxels(100)])


def test_the_two_old_layouts_are_told_apart(version_1, decathlon, tmp_path):
    with pytest.raises(UserInputError, match="use import_nnunet_v1"):
        import_decathlon(version_1, tmp_path / "raw")
    with pytest.raises(UserInputError, match="use import_decathlon"):
        import_nnunet_v1(decathlon, tmp_path / "raw")
    assert nothing_is_left(tmp_path / "raw")


def test_named_segments_get_the_same_value_in_every_case(tmp_path):
    source = tmp_path / "pairs"
    order = [{"liver": LIVER, "vessel": VESSEL}, {"vessel": VESSEL, "liver": LIVER}, {"vessel": VESSEL}]
    for number, segments in enumerate(order):
        write_image(voxels(number), source / f"p{number}.nrrd")
        write_slicer_segmentation(source / f"p{number}.seg.nrrd", [segments])
    done = import_pairs(source, tmp_path / "raw", 7, "Vessels", channel_names=["CT"])
    dataset = load_dataset(done.folder)
    assert check_dataset(dataset).ok
    assert description_of(done.folder)["labels"] == {"background": 0, "liver": 1, "vessel": 2}
    assert (dataset.channel_names, dataset.file_ending, done.notes) == (("CT",), ".nrrd", ())
    expected = [LIVER + 2 * VESSEL, LIVER + 2 * VESSEL, 2 * VESSEL]
    for case, array in zip(dataset.cases, expected, strict=True):
        np.testing.assert_array_equal(read_case(dataset, case)[1].array[0], array)
    assert dataset.cases[0].image_files[0].read_bytes() == (source / "p0.nrrd").read_bytes()


def test_chosen_segments_come_in_the_order_given_and_the_rest_is_mentioned(tmp_path):
    write_image(voxels(0), tmp_path / "pairs" / "a.nrrd")
    write_slicer_segmentation(
        tmp_path / "pairs" / "a.seg.nrrd", [{"liver": LIVER, "bone": TUMOUR_INSIDE, "vessel": VESSEL}]
    )
    done = import_pairs(tmp_path / "pairs", tmp_path / "raw", 7, "X", segments=["vessel", "liver"])
    assert description_of(done.folder)["labels"] == {"background": 0, "vessel": 1, "liver": 2}
    assert done.notes == ("Segments that were not imported: bone.",)
    with pytest.raises(UserInputError, match="No case has a segment named Leber; the segments are liver, bone, vessel"):
        import_pairs(tmp_path / "pairs", tmp_path / "raw", 8, "X", segments=["Leber"])


def overlapping(tmp_path: Path) -> Path:
    for number in range(5):
        write_image(voxels(number), tmp_path / "pairs" / f"p{number}.nrrd")
        path = tmp_path / "pairs" / f"p{number}.seg.nrrd"
        write_slicer_segmentation(path, [{"liver": LIVER, "vessel": VESSEL}, {"tumour": TUMOUR_INSIDE}])
    return tmp_path / "pairs"


def test_overlapping_segments_are_named_and_nothing_is_left(tmp_path):
    with pytest.raises(UserInputError, match=r"p0\.seg\.nrrd: the segments liver and tumour overlap in 4 voxels"):
        import_pairs(overlapping(tmp_path), tmp_path / "raw", 7, "X")
    assert nothing_is_left(tmp_path / "raw")


def test_overlapping_segments_may_become_regions(tmp_path):
    done = import_pairs(overlapping(tmp_path), tmp_path / "raw", 7, "X", overlap="regions")
    dataset = load_dataset(done.folder)
    assert check_dataset(dataset).problems == ()
    description = description_of(done.folder)
    assert description["labels"] == {"background": 0, "liver": [1, 3], "vessel": 2, "tumour": 3}
    assert description["regions_class_order"] == [1, 2, 3]
    segmentation = read_case(dataset, dataset.cases[0])[1].array[0]
    for name, mask in {"liver": LIVER, "vessel": VESSEL, "tumour": TUMOUR_INSIDE}.items():
        np.testing.assert_array_equal(np.isin(segmentation, description["labels"][name]), mask > 0)


def test_a_segment_named_ignore_is_the_highest_label_and_wins(tmp_path):
    write_image(voxels(0), tmp_path / "pairs" / "a.nrrd")
    layers = [{"ignore": TUMOUR_INSIDE}, {"liver": LIVER}, {"half": box((1, 1, 1), (4, 5, 3))}]
    write_slicer_segmentation(tmp_path / "pairs" / "a.seg.nrrd", layers)
    done = import_pairs(tmp_path / "pairs", tmp_path / "raw", 7, "X", overlap="regions")
    dataset = load_dataset(done.folder)
    assert dataset.label_scheme.ignore_label == 3
    assert (read_case(dataset, dataset.cases[0])[1].array[0] == 3).sum() == TUMOUR_INSIDE.sum()


def test_a_segmentation_on_another_grid_is_resampled_and_that_is_said(tmp_path):
    source = tmp_path / "pairs"
    write_image(voxels(0), source / "a.nrrd")
    write_slicer_segmentation(source / "a.seg.nrrd", [{"liver": LIVER.repeat(2, 2)}], spacing=(0.25, 0.75, 2.0))
    done = import_pairs(source, tmp_path / "raw", 7, "X")
    assert "1 of 1 segmentations lay on another grid" in done.notes[0]
    assert done.notes[0].endswith("a.")
    dataset = load_dataset(done.folder)
    image, segmentation = read_case(dataset, dataset.cases[0])
    assert segmentation.array.shape == image.array.shape
    assert abs(int(segmentation.array.sum()) - int(LIVER.sum())) <= LIVER.sum() // 4


def test_a_smaller_extent_of_the_same_grid_is_no_other_grid(tmp_path):
    write_image(voxels(0), tmp_path / "pairs" / "a.nrrd")
    origin = (10.0 + 0.5, -20.0 + 0.75, 30.0 + 2.0)
    write_slicer_segmentation(tmp_path / "pairs" / "a.seg.nrrd", [{"liver": LIVER[1:5, 1:6, 1:7]}], origin=origin)
    done = import_pairs(tmp_path / "pairs", tmp_path / "raw", 7, "X")
    assert done.notes == ()
    segmentation = read_segmentation(done.folder / "labelsTr" / "a.nrrd", "SimpleITKIO")
    np.testing.assert_array_equal(segmentation.array[0], LIVER)


def test_a_segment_outside_the_image_is_mentioned(tmp_path):
    write_image(voxels(0), tmp_path / "pairs" / "a.nrrd")
    write_slicer_segmentation(tmp_path / "pairs" / "a.seg.nrrd", [{"liver": LIVER}], origin=(1000.0, 0.0, 0.0))
    notes = import_pairs(tmp_path / "pairs", tmp_path / "raw", 7, "X").notes
    assert "a: liver lies outside the image." in notes


def test_files_of_old_slicer_versions_have_a_layer_for_each_segment(tmp_path):
    write_image(voxels(0), tmp_path / "pairs" / "a.nrrd")
    image = sitk.Compose([sitk_image(VESSEL), sitk_image(LIVER)])
    image.SetMetaData("Segment0_Name", "vessel")
    image.SetMetaData("Segment1_Name", "liver")
    sitk.WriteImage(image, str(tmp_path / "pairs" / "a.seg.nrrd"))
    done = import_pairs(tmp_path / "pairs", tmp_path / "raw", 7, "X")
    segmentation = read_segmentation(done.folder / "labelsTr" / "a.nrrd", "SimpleITKIO")
    np.testing.assert_array_equal(segmentation.array[0], VESSEL + 2 * LIVER)


def test_plain_label_maps_are_named_by_their_values_or_by_the_user(tmp_path):
    write_image(voxels(0), tmp_path / "pairs" / "a.nii.gz")
    write_image(labels(values=(3, 7)), tmp_path / "pairs" / "a-label.nii.gz")
    plain = import_pairs(tmp_path / "pairs", tmp_path / "raw", 7, "X")
    assert description_of(plain.folder)["labels"] == {"background": 0, "label_3": 1, "label_7": 2}
    named = import_pairs(tmp_path / "pairs", tmp_path / "raw", 8, "X", value_names={3: "liver", 7: "tumour"})
    assert description_of(named.folder)["labels"] == {"background": 0, "liver": 1, "tumour": 2}
    segmentation = read_segmentation(named.folder / "labelsTr" / "a.nii.gz", "SimpleITKIO")
    np.testing.assert_array_equal(segmentation.array[0], labels())


def test_pairs_are_found_beside_each_other_in_folders_and_in_two_folders(tmp_path):
    def pair(image: str, segmentation: str) -> None:
        write_image(voxels(len(image)), tmp_path / image)
        write_image(labels(), tmp_path / segmentation)

    pair("beside/a.nrrd", "beside/a_mask.nrrd")
    pair("beside/b 1.nrrd", "beside/b 1-label.nii.gz")
    pair("folders/anna/MRHead.nrrd", "folders/anna/Segmentation.seg.nrrd")
    pair("folders/bert/MRHead.nrrd", "folders/bert/Segmentation_1.seg.nrrd")
    pair("two/images/x_0000.mha", "two/labels/x.mha")
    pair("two/images/x_0001.mha", "two/labels/x.mha")
    found = {}
    for number, (place, channels) in enumerate({"beside": None, "folders": None, "two": ["T1", "T2"]}.items(), start=1):
        done = import_pairs(tmp_path / place, tmp_path / "raw", number, place, channel_names=channels)
        found[place] = [case.identifier for case in load_dataset(done.folder).cases]
    assert found == {"beside": ["a", "b 1"], "folders": ["anna", "bert"], "two": ["x"]}


def test_given_pairs_need_no_naming(tmp_path):
    images = [write_image(voxels(n), tmp_path / f"scan{n}.mha") for n in (0, 1)]
    segmentations = [write_image(labels(), tmp_path / f"drawn{n}.nii") for n in (0, 1)]
    done = import_pairs(list(zip(images, segmentations, strict=True)), tmp_path / "raw", 7, "X")
    dataset = load_dataset(done.folder)
    assert [case.identifier for case in dataset.cases] == ["scan0", "scan1"]
    assert check_dataset(dataset).ok


def test_mixed_file_types_become_one(tmp_path):
    write_image(voxels(0), tmp_path / "a.nrrd", direction=OBLIQUE)
    write_image(voxels(1), tmp_path / "b.mha")
    for name in "ab":
        write_image(labels(), tmp_path / f"{name}_seg.nrrd", direction=OBLIQUE if name == "a" else None)
    done = import_pairs(tmp_path, tmp_path / "raw", 7, "X")
    image = read_image([done.folder / "imagesTr" / "a_0000.nii.gz"], "SimpleITKIO")
    np.testing.assert_array_equal(image.array[0], voxels(0))
    assert image.header.sitk.direction == pytest.approx(OBLIQUE, abs=1e-6)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "holds no images with segmentations"),
        (["a.nrrd", "a.seg.nrrd", "b.nrrd"], r"b\.nrrd: has no segmentation"),
        (["a.nrrd", "a.seg.nrrd", "b.seg.nrrd"], r"b\.seg\.nrrd: has no image"),
        (["a.nrrd", "a.seg.nrrd", "a_mask.nrrd", "b.nrrd", "b.seg.nrrd"], r"a_mask\.nrrd: is a second segmentation"),
        (["a_0000.nrrd", "a_0001.nrrd", "a.seg.nrrd"], "has 2 images, but there are 1 channels"),
    ],
)
def test_what_has_no_partner_is_named(tmp_path, files, words):
    (tmp_path / "pairs").mkdir()
    for name in files:
        write_image(labels() if "seg" in name or "mask" in name else voxels(0), tmp_path / "pairs" / name)
    with pytest.raises(UserInputError, match=words):
        import_pairs(tmp_path / "pairs", tmp_path / "raw", 7, "X", channel_names=["CT"])
    assert nothing_is_left(tmp_path / "raw")


@pytest.mark.parametrize("names", [("Liver", "liver"), ("background", "liver")])
def test_names_that_cannot_be_labels_are_refused(tmp_path, names):
    write_image(voxels(0), tmp_path / "pairs" / "a.nrrd")
    write_slicer_segmentation(tmp_path / "pairs" / "a.seg.nrrd", [dict(zip(names, (LIVER, VESSEL), strict=True))])
    with pytest.raises(UserInputError, match=names[0]):
        import_pairs(tmp_path / "pairs", tmp_path / "raw", 7, "X")


@pytest.mark.parametrize(("identifier", "name"), [(0, "X"), (1000, "X"), (7, "a/b"), (7, "")])
def test_an_impossible_name_or_id_is_refused(tmp_path, identifier, name):
    write_image(voxels(0), tmp_path / "pairs" / "a.nrrd")
    write_slicer_segmentation(tmp_path / "pairs" / "a.seg.nrrd", [{"liver": LIVER}])
    with pytest.raises(UserInputError, match=r"dataset id is a number|cannot be the name"):
        import_pairs(tmp_path / "pairs", tmp_path / "raw", identifier, name)
    assert nothing_is_left(tmp_path / "raw")
