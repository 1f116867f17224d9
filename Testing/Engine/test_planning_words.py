"""The plan in words: the sentences that a person decides by, with their numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from SegAutoPlanLib.fingerprint.fingerprint import Fingerprint
from SegAutoPlanLib.planning import PLANNERS, Machine, Plan, plan_experiments, plan_from_json, read_plan, write_plan

from .planning_fixtures import dataset_of, fingerprint_like, liver, read_recorded


def planned(shape=(432, 512, 512), spacing=(1.0, 0.7676, 0.7676), cases=131, relative_size=1.0, **options) -> Plan:
    dataset = liver(cases, options.pop("channels", ("CT",)), options.pop("num_training", None))
    return plan_experiments(fingerprint_like(dataset, shape, spacing, relative_size), dataset, **options)


def sentence(plan: Plan, beginning: str) -> str:
    found = [line for line in plan.explanation if line.startswith(beginning)]
    assert found, f"no sentence begins with {beginning!r} in:\n{plan}"
    return found[0]


def test_the_whole_plan_prints_as_sentences():
    plan = planned(cases=3)
    lines = str(plan).splitlines()
    assert lines[0] == "Dataset003_Liver: 3 training cases with 1 channel (CT) and 2 labels (liver, tumour)."
    assert all(line.endswith(".") for line in lines)
    assert sum(line.startswith("Warning: ") for line in lines) == len(plan.warnings) >= 1


def test_the_voxel_size_says_where_it_comes_from():
    assert "1 × 0.768 × 0.768 mm, which all cases have" in sentence(planned(), "Voxel size")
    asked = planned(target_spacing=(2.0, 2.0, 2.0))
    assert "2 × 2 × 2 mm, as was asked for" in sentence(asked, "Voxel size")
    assert "the median of the cases is 1 × 0.768 × 0.768" in sentence(asked, "Voxel size")


def test_thick_slices_say_why_the_finer_spacing_was_taken():
    dataset = liver(20)
    fingerprint = fingerprint_like(dataset, (10, 256, 216), (10.0, 1.5, 1.5))
    thin = ((5.0, 1.5, 1.5),) * 5
    plan = plan_experiments(replace(fingerprint, spacings=thin + fingerprint.spacings[5:]), dataset)
    text = sentence(plan, "Voxel size")
    assert "5 × 1.5 × 1.5 mm" in text
    assert "10th percentile instead of the median 10" in text


def test_another_axis_order_is_told():
    assert "as stored" in sentence(planned(), "Axis order")
    turned = planned((300, 300, 40), (0.7, 0.7, 4.0))
    assert "resampled to 0.7 × 0.7 × 4 mm" in sentence(turned, "Voxel size")
    assert "x has the largest voxels, so images are turned to the order x, z, y" in sentence(turned, "Axis order")


def test_channels_normalised_alike_share_a_sentence():
    plan = planned(channels=("CT", "T1", "T2"), relative_size=0.5)
    assert "cut to -50 to 300" in sentence(plan, "Intensities of channel CT")
    assert "over the non-zero part" in sentence(plan, "Intensities of channels T1, T2")


def test_a_low_resolution_stage_is_explained_and_so_is_its_absence():
    text = sentence(planned(), "Low-resolution stage")
    assert "sees only 2 % of a median image, less than 25 %" in text
    assert "2.43 × 1.86 × 1.86 mm" in text
    assert "sees 100 % of a median image" in sentence(planned((100, 100, 100)), "There is no low-resolution stage")
    assert "not even be 2 times smaller" in sentence(planned((250, 220, 220)), "There is no low-resolution stage")


def test_patch_batch_and_epoch_are_told_in_numbers():
    text = sentence(planned(), "3d_fullres: sees")
    assert "128 × 128 × 128 voxels (128 × 98.3 × 98.3 mm), 2 % of a median image, 2 at a time" in text
    assert "an epoch takes about 4 patches of each case" in text
    few = sentence(planned(cases=1000), "3d_fullres: sees")
    assert "an epoch takes a patch of 50 % of the cases" in few


def test_memory_and_time_are_told_for_the_machine_that_was_measured():
    text = sentence(planned(), "3d_fullres: the network")
    assert "about 6.5 GB of GPU memory" in text
    assert "11 h on an A100 graphics card or 97 days on two CPU cores" in text
    measured = planned(machine=Machine("this computer", 2.5e-8))
    assert "11 h on an A100 graphics card or 23 h on this computer." in sentence(measured, "3d_fullres: the network")


def test_every_planner_fills_the_memory_it_was_made_for():
    for planner, row in PLANNERS.items():
        gb = row.reference_gb
        text = sentence(planned(planner=planner), "2d: the network")
        told = float(text.split("needs about ")[1].split(" GB")[0])
        assert 0.7 * gb <= told <= 1.05 * gb, (planner, text)


def test_2d_images_speak_of_pixels_and_of_2d_only():
    entry = read_recorded("real.json.xz")["Dataset505_AxonSEM2D"]
    text = str(plan_from_json(entry["plans"]["ExperimentPlanner"]).configurations.keys())
    assert text == "dict_keys(['2d'])"
    plan = planned((1, 800, 900), (999.0, 1.0, 1.0))
    assert "1 × 1 pixel" in sentence(plan, "Voxel size")
    assert plan.explanation[-2:] == (
        "There are no 3-D configurations, because the images are single slices.",
        "Train 2d.",
    )


def test_a_plan_from_a_file_explains_itself_without_the_dataset(tmp_path):
    write_plan(planned(), tmp_path / "plans.json")
    plan = read_plan(tmp_path / "plans.json")
    assert "the median of the cases along each axis" in sentence(plan, "Voxel size")
    assert "128 × 128 × 128 voxels" in sentence(plan, "3d_fullres: sees")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cases": 1}, "There is one training case"),
        ({"cases": 4}, "4 training cases, fewer than the 5 folds"),
        ({"cases": 20, "num_training": 200}, "numTraining 200, but there are 20 cases"),
        (
            {"cases": 8, "num_training": 80, "shape": (36, 50, 35), "planner": "resenc-m"},
            "larger than the dataset (8 cases)",
        ),
        ({"cases": 200, "shape": (36, 50, 35), "planner": "resenc-m"}, "of all training voxels"),
        ({"shape": (8, 8, 8)}, "the U-Net has 2 resolutions and sees little context"),
        ({"shape": (33, 33, 33)}, None),
        ({"shape": (400, 400, 1), "spacing": (1.0, 1.0, 1.0)}, "single slices along an axis"),
        ({"planner": "resenc-m", "target_spacing": (1.0, 2.0, 2.0)}, "preprocess again after switching"),
    ],
)
def test_a_plan_that_will_disappoint_says_so(options, words):
    warnings = planned(**options).warnings
    assert (warnings == ()) if words is None else any(words in line for line in warnings), warnings


def test_very_different_voxels_and_vanishing_cases_are_named():
    dataset = liver(10)
    fingerprint = fingerprint_like(dataset, (60, 200, 200), (3.0, 1.0, 1.0))
    odd = replace(
        fingerprint,
        spacings=((0.5, 1.0, 1.0), *fingerprint.spacings[1:]),
        shapes_after_crop=((2, 200, 200), *fingerprint.shapes_after_crop[1:]),
    )
    warnings = plan_experiments(odd, dataset).warnings
    assert any("Voxels along z are between 0.5 and 3 mm" in line for line in warnings)
    assert any("liver_000 (2 × 200 × 200 voxels of 0.5 × 1 × 1 mm) is thinner than half a voxel" in w for w in warnings)


def test_the_five_real_datasets_get_sentences_without_surprises():
    for name, entry in read_recorded("real.json.xz").items():
        recorded = plan_from_json(entry["plans"]["ExperimentPlanner"])
        dataset = dataset_of(entry["description"], name, recorded.image_io)
        plan = plan_experiments(Fingerprint.from_json(entry["fingerprint"]), dataset)
        assert plan.explanation[0].startswith(f"{name}: ")
        assert "nan" not in str(plan).lower().split()
        expected = 1 if name == "Dataset503_MSLesion4ch" else 0
        assert len(plan.warnings) == expected, plan.warnings
