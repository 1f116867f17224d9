"""plans.json: what is read comes back, what is changed is written, and what cannot be used says why."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.planning import (
    Plan,
    plan_experiments,
    plan_from_json,
    plan_to_json,
    read_plan,
    write_plan,
)
from SegAutoPlanLib.planning.resampling import OPTIONS, Resampler
from SegAutoPlanLib.preprocessing.case import RESAMPLERS

from .planning_fixtures import fingerprint_like, liver, read_recorded


@pytest.fixture(scope="module")
def plan() -> Plan:
    dataset = liver()
    return plan_experiments(fingerprint_like(dataset), dataset)


def replanned(existing: dict[str, Any], shape=(432, 512, 512), **options: Any) -> Plan:
    dataset = liver()
    return plan_experiments(fingerprint_like(dataset, shape), dataset, existing=existing, **options)


def test_reading_a_plan_needs_neither_torch_nor_an_image_library():
    code = (
        "import sys, SegAutoPlanLib.planning; "
        "print([m for m in ('torch', 'SimpleITK', 'nibabel', 'scipy', 'slicer', 'vtk', 'qt') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


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
    with pytest.raises(
        UserInputError, match=r"coarse cannot be used, .* inherits from 3d_lowres, which the plan does not"
    ):
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
    with pytest.raises(UserInputError, match=r'draft cannot be used, because it lacks "architecture"'):
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
    assert any("must be PlainConvUNet or ResidualEncoderUNet, not 'os.system'" in warning for warning in read.warnings)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("norm_op", "torch.nn.modules.batchnorm.BatchNorm3d", "not 'torch.nn.modules.batchnorm.BatchNorm3d'"),
        ("dropout_op", "torch.nn.Dropout3d", "must be null, not 'torch.nn.Dropout3d'"),
        ("nonlin", "torch.nn.ReLU", "not 'torch.nn.ReLU'"),
        ("conv_bias", False, "must be true, not false"),
    ],
)
def test_layers_that_we_would_build_differently_are_refused(plan, key, value, words):
    document = plan_to_json(plan)
    document["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"][key] = value
    read = plan_from_json(document)
    assert "3d_fullres" not in read.configurations
    assert any(f'"{key}" must be' in warning and words in warning for warning in read.warnings)


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


# What was read and what was changed


def much_edited(document: dict[str, Any]) -> dict[str, Any]:
    """A plans.json as people leave it: notes, configurations of their own, some of which cannot be used."""
    edited = {"note": ["of a user"], **document, "continual_learning": {"since": None}}
    own = {
        "draft": {"batch_size": 4},
        "3d_bs4": {"inherits_from": "3d_fullres", "batch_size": 4, "patch_size": [128, 128, 128], "why": "more memory"},
        "lost": {"inherits_from": "gone"},
        "3d_bs4_tiny": {"patch_size": [32, 32, 32], "inherits_from": "3d_bs4"},
    }
    edited["configurations"] = {**own, **{k: {**v, "tag": k} for k, v in document["configurations"].items()}}
    return edited


@pytest.fixture
def edited(plan) -> dict[str, Any]:
    return much_edited(plan_to_json(plan))


def written(plan: Plan) -> str:
    return json.dumps(plan_to_json(plan), indent=4)


def test_what_a_user_wrote_into_a_plan_comes_back_to_the_letter(edited):
    assert written(plan_from_json(edited)) == json.dumps(edited, indent=4)
    old = old_document(edited)
    assert written(plan_from_json(old)) == json.dumps(old, indent=4)


def test_a_changed_value_is_written_and_all_else_stays(edited):
    read = plan_from_json(edited)
    smaller = replace(read.configurations["3d_bs4"], batch_size=3)
    changed = replace(read, dataset_name="Dataset004_Other", configurations={**read.configurations, "3d_bs4": smaller})
    expected = copy.deepcopy(edited)
    expected["dataset_name"] = "Dataset004_Other"
    expected["configurations"]["3d_bs4"]["batch_size"] = 3
    # The heir was not changed: it now says itself what it inherited.
    expected["configurations"]["3d_bs4_tiny"]["batch_size"] = 4
    assert written(changed) == json.dumps(expected, indent=4)


@pytest.mark.parametrize("as_stored", [copy.deepcopy, old_document])
def test_whatever_is_changed_is_read_back_as_it_was_changed(edited, as_stored):
    read = plan_from_json(as_stored(edited))
    full = read.configurations["3d_fullres"]
    architecture = replace(full.architecture, blocks_per_stage=(1,) * 6)
    sampler = replace(full.resampling.data, order=1)
    other = {
        "2d": replace(read.configurations["2d"], spacing=(0.5, 0.5), next_stage=("a", "b")),
        "3d_fullres": replace(full, architecture=architecture, resampling=replace(full.resampling, data=sampler)),
        "3d_lowres": replace(read.configurations["3d_lowres"], next_stage=()),
        "3d_cascade_fullres": replace(read.configurations["3d_cascade_fullres"], previous_stage=None),
    }
    louder = replace(read.foreground_intensities[0], mean=7.0)
    changed = replace(
        read,
        transpose_forward=(2, 0, 1),
        transpose_backward=(1, 2, 0),
        foreground_intensities=(louder,),
        configurations=read.configurations | other,
    )
    again = plan_from_json(json.loads(written(changed)))
    assert again == changed
    assert plan_to_json(again)["continual_learning"] == {"since": None}


def test_a_configuration_that_was_taken_out_is_not_written_and_its_heirs_stand_alone(edited):
    read = plan_from_json(edited)
    kept = {name: one for name, one in read.configurations.items() if name != "3d_bs4"}
    again = plan_from_json(plan_to_json(replace(read, configurations=kept)))
    assert "3d_bs4" not in plan_to_json(again)["configurations"]
    assert again.configurations == kept
    assert again.unusable == read.unusable


def test_a_note_survives_when_what_its_configuration_inherited_from_is_gone(edited):
    edited["configurations"]["3d_bs4_tiny"]["why"] = "a test"
    read = plan_from_json(edited)
    kept = {name: one for name, one in read.configurations.items() if name != "3d_bs4"}
    entry = plan_to_json(replace(read, configurations=kept))["configurations"]["3d_bs4_tiny"]
    assert (entry["why"], entry["batch_size"], entry.get("inherits_from")) == ("a test", 4, None)


def test_a_made_plan_that_was_changed_is_written_as_it_is(plan):
    bigger = {name: replace(one, batch_size=9) for name, one in plan.configurations.items()}
    document = plan_to_json(replace(plan, configurations=bigger))
    assert document["configurations"]["3d_cascade_fullres"] == {
        "inherits_from": "3d_fullres",
        "previous_stage": "3d_lowres",
    }
    assert plan_from_json(document).configurations == bigger


def test_changing_the_document_that_was_read_does_not_change_the_plan(edited):
    before = json.dumps(edited, indent=4)
    read = plan_from_json(edited)
    edited["note"].append("later")
    edited["configurations"]["2d"]["patch_size"].clear()
    assert written(read) == before


# What cannot be used


def test_why_a_configuration_cannot_be_used_is_data_and_a_sentence(edited):
    read = plan_from_json(edited)
    assert read.unusable == {
        "draft": 'it lacks "architecture"',
        "lost": "it inherits from gone, which the plan does not have",
    }
    assert read.warnings == (
        'draft: cannot be used, because it lacks "architecture".',
        "lost: cannot be used, because it inherits from gone, which the plan does not have.",
    )
    with pytest.raises(UserInputError, match=r"^plans.json: lost cannot be used, because it inherits from gone"):
        read.configuration("lost")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("spacing", 3.0, "must be a list, not 3.0"),
        ("architecture", [], "must be an object, not []"),
        ("resampling_fn_seg_kwargs", None, "must be an object, not null"),
    ],
)
def test_a_value_of_another_kind_spoils_its_configuration_alone(plan, key, value, words):
    document = plan_to_json(plan)
    document["configurations"]["2d"][key] = value
    read = plan_from_json(document)
    assert list(read.configurations) == ["3d_lowres", "3d_fullres", "3d_cascade_fullres"]
    assert read.unusable["2d"] == f'its "{key}" {words}'


def test_a_plan_without_any_configuration_for_us_says_why_of_each(plan, tmp_path):
    document = plan_to_json(plan)
    document["configurations"] = {"mine": {"inherits_from": "yours"}, "3": 4}
    (tmp_path / "plans.json").write_text(json.dumps(document))
    with pytest.raises(UserInputError, match=r"plans.json: has no configuration .* mine: .* from yours.* 3: cannot"):
        read_plan(tmp_path / "plans.json")


# Resampling


def test_every_resampling_function_of_a_plan_can_be_carried_out():
    assert set(OPTIONS) == set(RESAMPLERS)


TORCH = {"is_seg": False, "force_separate_z": False, "memefficient_seg_resampling": False}


@pytest.mark.parametrize(
    ("function", "options", "read"),
    [
        ("resample_torch_fornnunet", TORCH, Resampler("resample_torch_fornnunet", force_separate_z=False)),
        ("no_resampling_hack", {}, Resampler("no_resampling_hack")),
    ],
)
def test_the_other_resampling_functions_of_nnunet_are_read_and_written(plan, function, options, read):
    document = plan_to_json(plan)
    document["configurations"]["2d"] |= {"resampling_fn_data": function, "resampling_fn_data_kwargs": options}
    if function == "no_resampling_hack":  # leaves both on the grid that they share
        document["configurations"]["2d"] |= {"resampling_fn_seg": function, "resampling_fn_seg_kwargs": options}
    found = plan_from_json(document)
    assert found.configurations["2d"].resampling.data == read
    assert read.options == options
    assert plan_to_json(replace(found, source=plan.source)) == document


def test_an_option_of_resampling_that_is_unknown_here_is_not_passed_over(plan):
    document = plan_to_json(plan)
    document["configurations"]["2d"]["resampling_fn_data_kwargs"]["separate_z_anisotropy_threshold"] = 5
    read = plan_from_json(document)
    assert list(read.unusable) == ["2d"]
    with pytest.raises(UserInputError, match=r"has the entry 'separate_z_anisotropy_threshold', which is unknown here"):
        read.configuration("2d")
