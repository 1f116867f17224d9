"""Planning, reading and writing plans: what they promise beyond being nnU-Net's."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.planning import (
    PLANNERS,
    Plan,
    plan_experiments,
    plan_to_json,
)

from .planning_fixtures import fingerprint_like, liver


@pytest.fixture(scope="module")
def plan() -> Plan:
    dataset = liver()
    return plan_experiments(fingerprint_like(dataset), dataset)


def replanned(existing: dict[str, Any], shape=(432, 512, 512), **options: Any) -> Plan:
    dataset = liver()
    return plan_experiments(fingerprint_like(dataset, shape), dataset, existing=existing, **options)


def test_planning_opens_no_file(monkeypatch, plan):
    def refuse(*arguments, **_):
        raise AssertionError(f"opened {arguments}")

    dataset = liver()
    fingerprint = fingerprint_like(dataset)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert plan_to_json(plan_experiments(fingerprint, dataset)) == plan_to_json(plan)


def test_liver_gets_the_configurations_that_everybody_knows(plan):
    assert list(plan.configurations) == ["2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres"]
    full, cascade = plan.configurations["3d_fullres"], plan.configurations["3d_cascade_fullres"]
    assert (full.batch_size, full.patch_size, full.batch_dice) == (2, (128, 128, 128), True)
    assert full.architecture.features_per_stage == (32, 64, 128, 256, 320, 320)
    assert plan.configurations["3d_lowres"].median_image_size == (178, 211, 211)
    assert plan.configurations["3d_lowres"].next_stage == ("3d_cascade_fullres",)
    assert replace(cascade, name="3d_fullres", previous_stage=None) == full
    assert cascade.previous_stage == "3d_lowres"


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_planner_answers_to_nnunets_name_too(planner):
    dataset = liver()
    fingerprint = fingerprint_like(dataset)
    ours = plan_experiments(fingerprint, dataset, planner)
    theirs = plan_experiments(fingerprint, dataset, PLANNERS[planner].nnunet_class)
    assert ours == theirs
    assert ours.planner == PLANNERS[planner].nnunet_class


def test_residual_planners_share_the_plain_planners_data_except_at_low_resolution():
    dataset = liver()
    plan = plan_experiments(fingerprint_like(dataset), dataset, "resenc-m")
    folders = {name: configuration.data_identifier for name, configuration in plan.configurations.items()}
    assert folders == {
        "2d": "nnUNetPlans_2d",
        "3d_fullres": "nnUNetPlans_3d_fullres",
        "3d_lowres": "nnUNetResEncUNetMPlans_3d_lowres",
        "3d_cascade_fullres": "nnUNetPlans_3d_fullres",
    }


def test_another_name_moves_the_plain_planners_data():
    dataset = liver()
    plan = plan_experiments(fingerprint_like(dataset), dataset, plans_name="mine")
    assert plan.plans_name == "mine"
    assert {c.data_identifier for c in plan.configurations.values()} == {"mine_2d", "mine_3d_fullres", "mine_3d_lowres"}


def test_more_memory_never_gives_less():
    dataset = liver()
    fingerprint = fingerprint_like(dataset)
    sizes = [
        math.prod(c.patch_size) * c.batch_size
        for gb in (4, 8, 16, 24, 48)
        for c in [plan_experiments(fingerprint, dataset, "resenc-l", gpu_memory_gb=gb).configurations["3d_fullres"]]
    ]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 2 * sizes[0]


def test_a_new_planner_is_one_row(monkeypatch):
    row = replace(
        PLANNERS["resenc-m"],
        name="tiny",
        nnunet_class="TinyPlanner",
        plans_name="tinyPlans",
        reference_2d=70e6,
        reference_3d=280e6,
        reference_gb=4,
        shares_plain_data=False,
    )
    monkeypatch.setitem(PLANNERS, row.name, row)
    dataset = liver()
    plan = plan_experiments(fingerprint_like(dataset), dataset, "tiny")
    assert (plan.planner, plan.plans_name) == ("TinyPlanner", "tinyPlans")
    assert {one.data_identifier.split("_")[0] for one in plan.configurations.values()} == {"tinyPlans"}
    assert re.search(r"2d: the network is a residual .* about (3\.\d|4\.0) GB", str(plan))
    with pytest.raises(UserInputError, match=r"choose one of plain, .*, tiny"):
        plan_experiments(fingerprint_like(dataset), dataset, "huge")
    assert "tiny" in subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True).stdout


HELP = """
from dataclasses import replace
from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.planning import PLANNERS
PLANNERS["tiny"] = replace(PLANNERS["plain"], name="tiny")
main(["plan", "--help"])
"""


# Bad input


@pytest.mark.parametrize("existing", [[], {}, {"configurations": 3}, {"configurations": {"mine": 4}}])
def test_existing_plans_that_are_none_are_one_sentence(existing):
    with pytest.raises(UserInputError, match="delete that file and plan again"):
        replanned(existing)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"planner": "huge"}, "no planner 'huge'; choose one of plain, resenc-m"),
        ({"gpu_memory_gb": 0}, "GPU memory of 0 GB"),
        ({"gpu_memory_gb": math.nan}, "GPU memory of nan GB"),
        ({"gpu_memory_gb": 1e-6}, "no network fits into 1e-06 GB"),
        ({"target_spacing": (1.0, 1.0)}, "target spacing 1.0 1.0 is not three numbers"),
        ({"target_spacing": (1.0, 0.0, 1.0)}, "is not three numbers above 0"),
        ({"target_spacing": (2000.0, 1.0, 1.0)}, "less than one voxel thick"),
    ],
)
def test_an_impossible_option_is_one_sentence(options, sentence):
    dataset = liver()
    with pytest.raises(UserInputError, match=sentence):
        plan_experiments(fingerprint_like(dataset), dataset, **options)


@pytest.mark.parametrize("step", [0.0, math.nan, -1.0, math.inf])
def test_an_impossible_voxel_size_names_the_case(step):
    dataset = liver(3)
    fingerprint = fingerprint_like(dataset)
    broken = replace(fingerprint, spacings=(*fingerprint.spacings[:2], (1.0, step, 1.0)))
    with pytest.raises(UserInputError, match="Dataset003_Liver, liver_002: the voxel size"):
        plan_experiments(broken, dataset)


def test_a_fingerprint_with_other_channels_is_one_sentence():
    with pytest.raises(UserInputError, match="names 2 channels, but the images have 1"):
        plan_experiments(fingerprint_like(liver()), liver(channels=("CT", "PET")))


def test_a_fingerprint_without_cases_is_one_sentence():
    dataset = liver()
    with pytest.raises(UserInputError, match="no cases"):
        plan_experiments(replace(fingerprint_like(dataset), spacings=(), shapes_after_crop=()), dataset)
