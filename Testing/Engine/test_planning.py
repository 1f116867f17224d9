"""Planning, reading and writing plans: what they promise beyond being nnU-Net's."""

from __future__ import annotations

import copy
import json
import math
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
    plan_from_json,
    plan_to_json,
    read_plan,
    write_plan,
)

from .planning_fixtures import fingerprint_like, liver, read_recorded


@pytest.fixture(scope="module")
def plan() -> Plan:
    dataset = liver()
    return plan_experiments(fingerprint_like(dataset), dataset)


def replanned(existing: dict[str, Any], shape=(432, 512, 512), **options: Any) -> Plan:
    dataset = liver()
    return plan_experiments(fingerprint_like(dataset, shape), dataset, existing=existing, **options)


def test_planning_imports_neither_torch_nor_slicer():
    code = (
        "import sys, SegAutoPlanLib.planning; print([m for m in ('torch', 'slicer', 'vtk', 'qt') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


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


# Reading and writing


def test_a_written_plan_is_the_very_file_that_nnunet_writes(tmp_path):
    recorded = read_recorded("real.json.xz")["Dataset502_STS_PETCT"]["plans"]["ExperimentPlanner"]
    write_plan(plan_from_json(recorded), tmp_path / "nnUNetPlans.json")
    assert (tmp_path / "nnUNetPlans.json").read_text() == json.dumps(recorded, indent=4)


def test_a_plan_survives_writing_and_reading(tmp_path, plan):
    write_plan(plan, tmp_path / "plans.json")
    read = read_plan(tmp_path / "plans.json")
    assert plan_to_json(read) == plan_to_json(plan)
    assert read.configurations == plan.configurations


def test_changing_what_to_json_gave_does_not_change_the_plan(plan):
    plan_to_json(plan)["configurations"].clear()
    assert plan_to_json(plan)["configurations"]


def test_a_users_configuration_inherits_and_survives_replanning(plan):
    existing = plan_to_json(plan)
    existing["configurations"]["3d_fullres_bs4"] = {"inherits_from": "3d_fullres", "batch_size": 4}
    existing["configurations"]["tiny"] = {"inherits_from": "3d_fullres_bs4", "patch_size": [32, 32, 32]}
    existing["configurations"]["3d_fullres"]["batch_size"] = 17
    again = replanned(existing)
    assert list(again.configurations)[-2:] == ["3d_fullres_bs4", "tiny"]
    assert again.configurations["tiny"].batch_size == 4
    assert again.configurations["tiny"].patch_size == (32, 32, 32)
    assert again.configurations["3d_fullres"].batch_size == 2
    assert plan_to_json(again)["configurations"]["tiny"] == existing["configurations"]["tiny"]


def test_a_low_resolution_stage_does_not_outlive_the_data_that_needed_it(plan):
    assert list(replanned(plan_to_json(plan), shape=(100, 120, 120)).configurations) == ["2d", "3d_fullres"]


def test_a_users_configuration_whose_parent_went_is_kept_but_not_offered(plan):
    existing = plan_to_json(plan)
    existing["configurations"]["coarse"] = {"inherits_from": "3d_lowres", "batch_size": 4}
    again = replanned(existing, shape=(100, 120, 120))
    assert "coarse" in plan_to_json(again)["configurations"]
    assert "coarse" not in again.configurations
    with pytest.raises(UserInputError, match=r"coarse: .* inherits from 3d_lowres, which the plan does not have"):
        again.configuration("coarse")


def test_inheriting_in_a_circle_is_told_with_the_circle(plan):
    document = plan_to_json(plan)
    document["configurations"] |= {"a": {"inherits_from": "b"}, "b": {"inherits_from": "a"}}
    read = plan_from_json(document)
    assert any("a: cannot be used" in line and "a from b from a" in line for line in read.warnings)
    assert "3d_fullres" in read.configurations


def test_an_incomplete_configuration_of_a_user_is_kept_but_not_offered(plan):
    existing = plan_to_json(plan)
    existing["configurations"]["draft"] = {"batch_size": 4}
    again = replanned(existing)
    assert plan_to_json(again)["configurations"]["draft"] == {"batch_size": 4}
    with pytest.raises(UserInputError, match=r"draft: cannot be used, because it lacks 'architecture'"):
        again.configuration("draft")


def test_an_unknown_configuration_names_the_known_ones(plan):
    with pytest.raises(UserInputError, match="no configuration '4d'; choose one of 2d, 3d_lowres"):
        plan.configuration("4d")


def test_a_network_of_another_kind_is_left_out_and_never_imported(plan):
    document = plan_to_json(plan)
    strange = copy.deepcopy(document["configurations"]["3d_fullres"])
    strange["architecture"]["network_class_name"] = "os.system"
    document["configurations"]["strange"] = strange
    read = plan_from_json(document)
    assert "strange" not in read.configurations
    assert any("its network system is not among PlainConvUNet, ResidualEncoderUNet" in w for w in read.warnings)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("norm_op", "torch.nn.modules.batchnorm.BatchNorm3d", "norm_op is torch.nn.modules.batchnorm.BatchNorm3d"),
        ("dropout_op", "torch.nn.Dropout3d", "dropout_op is torch.nn.Dropout3d"),
        ("nonlin", "torch.nn.ReLU", "nonlin is torch.nn.ReLU"),
        ("conv_bias", False, "conv_bias is not true"),
    ],
)
def test_layers_that_we_would_build_differently_are_refused(plan, key, value, words):
    document = plan_to_json(plan)
    document["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"][key] = value
    read = plan_from_json(document)
    assert "3d_fullres" not in read.configurations
    assert any(words in warning for warning in read.warnings)


def test_numbers_for_all_stages_at_once_are_spread(plan):
    document = plan_to_json(plan)
    options = document["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    options |= {"kernel_sizes": 3, "n_conv_per_stage": 2, "n_conv_per_stage_decoder": 2, "strides": [1, 2, 2, 2, 2, 2]}
    assert plan_from_json(document).configurations["3d_fullres"] == plan.configurations["3d_fullres"]


def old_document(document: dict[str, Any], network: str = "PlainConvUNet") -> dict[str, Any]:
    """The same plan as nnU-Net 2.0 to 2.3 wrote it."""
    old = copy.deepcopy(document)
    old["foreground_intensity_properties_by_modality"] = old.pop("foreground_intensity_properties_per_channel")
    del old["label_manager"]
    for entry in old["configurations"].values():
        if "architecture" in entry:
            options = entry.pop("architecture")["arch_kwargs"]
            blocks = options.get("n_conv_per_stage") or options["n_blocks_per_stage"]
            entry |= {
                "UNet_class_name": network,
                "UNet_base_num_features": 32,
                "unet_max_num_features": options["features_per_stage"][-1],
                "n_conv_per_stage_encoder": blocks,
                "n_conv_per_stage_decoder": options["n_conv_per_stage_decoder"],
                "num_pool_per_axis": [5, 5, 5],
                "pool_op_kernel_sizes": options["strides"],
                "conv_kernel_sizes": options["kernel_sizes"],
            }
    return old


@pytest.mark.parametrize(("planner", "network"), [("plain", "PlainConvUNet"), ("resenc-m", "ResidualEncoderUNet")])
def test_plans_of_nnunet_2_3_and_before_are_read(planner, network):
    dataset = liver()
    modern = plan_experiments(fingerprint_like(dataset), dataset, planner)
    old = plan_from_json(old_document(plan_to_json(modern), network))
    assert old.configurations == modern.configurations
    assert old.foreground_intensities == modern.foreground_intensities


def test_residual_networks_at_their_former_address_are_read(plan):
    dataset = liver()
    modern = plan_to_json(plan_experiments(fingerprint_like(dataset), dataset, "resenc-m"))
    former = "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet"
    modern["configurations"]["2d"]["architecture"]["network_class_name"] = former
    assert plan_from_json(modern).configurations["2d"].architecture.kind == "residual"


@pytest.mark.parametrize("content", ["[]", "{}", '{"configurations": 3}', '{"configurations": {"2d": {}}}', '"plan"'])
def test_a_file_that_is_no_plan_is_named(tmp_path, content):
    (tmp_path / "plans.json").write_text(content)
    with pytest.raises(UserInputError, match=r"plans.json: is not an nnU-Net plan"):
        read_plan(tmp_path / "plans.json")


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
