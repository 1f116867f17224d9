"""Names in plans and options become paths: below the folder they belong to, or a sentence; nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.models import ModelName
from SegAutoPlanLib.pipeline.plan import PlanOptions, plan
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.planning import budget
from SegAutoPlanLib.preprocessing import open_training_case
from SegAutoPlanLib.preprocessing.case_file import write_case_file
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, write_balls
from .raw_datasets import write_image

NAMES = (
    "../../../x",
    "/tmp/x",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "C:x",
    "con",
    "dataset",
    "Splits_Final",
    "dataset_fingerprint",
)
"""That lead out of a folder, open a device, or mean another file."""


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("planned")
    write_balls(Workspace.at(root).raw, cases=2)
    plan(Workspace.at(root), PlanOptions(NAME, workers=1))
    return root


@pytest.fixture
def workspace(planned, tmp_path) -> Workspace:
    root = tmp_path / "work space"
    shutil.copytree(planned, root)
    return Workspace.at(root)


@pytest.fixture
def canary(workspace, tmp_path) -> Callable[[], dict[str, Any]]:
    """All files outside of what a plan may write, with their content; beside them what a plan could hit."""
    for folder in (tmp_path, tmp_path / "x", workspace.preprocessed, workspace.raw):
        folder.mkdir(exist_ok=True)
        (folder / "x.json").write_text("mine")
        (folder / "case.case.safetensors").write_bytes(b"mine")
    own = workspace.preprocessed / NAME

    def look() -> dict[str, Any]:
        files = (path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(own))
        return {str(path): path.read_bytes() for path in files}

    return look


def plan_file(workspace: Workspace) -> Path:
    return workspace.preprocessed / NAME / "nnUNetPlans.json"


def say(workspace: Workspace, key: str, value: Any, configuration: str | None = None) -> None:
    """Let the stored plan say something else."""
    document = read_json(plan_file(workspace))
    (document if configuration is None else document["configurations"][configuration])[key] = value
    write_json(plan_file(workspace), document)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_on_the_command_line_that_is_no_plans_is_refused(workspace, name):
    for make in (
        lambda: PlanOptions(NAME, plans_name=name),
        lambda: PreprocessOptions(NAME, plans_name=name),
        lambda: TrainOptions(NAME, "2d", 0, plans_name=name),
    ):
        with pytest.raises(UserInputError, match=r"^--plans .*: (must|is)"):
            make()


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_that_calls_itself_something_else_writes_nothing(workspace, canary, name):
    say(workspace, "plans_name", name)
    before, own = canary(), sorted((workspace.preprocessed / NAME).iterdir())
    with pytest.raises(UserInputError, match=r'nnUNetPlans.json: is not an nnU-Net plan \("plans_name"'):
        preprocess(workspace, PreprocessOptions(NAME, workers=1))
    assert canary() == before
    assert sorted((workspace.preprocessed / NAME).iterdir()) == own


@pytest.mark.parametrize("name", [*NAMES[:9], "gt_segmentations", "dataset.json", "nnUNetPlans.json"])
def test_a_folder_of_cases_elsewhere_is_neither_made_nor_cleared(workspace, canary, name):
    for configuration in ("2d", "3d_fullres"):
        say(workspace, "data_identifier", name, configuration)
    before = canary()
    with pytest.raises(UserInputError, match=r'nnUNetPlans.json: has no configuration .* "data_identifier"'):
        preprocess(workspace, PreprocessOptions(NAME, workers=1))
    assert canary() == before


def test_a_plan_that_was_made_in_memory_is_checked_where_its_names_become_paths(workspace, canary):
    from dataclasses import replace

    from SegAutoPlanLib.dataset import load_dataset
    from SegAutoPlanLib.planning import read_plan
    from SegAutoPlanLib.preprocessing import preprocess_dataset

    raw, good, before = load_dataset(workspace.raw / NAME), read_plan(plan_file(workspace)), canary()
    full = replace(good.configurations["3d_fullres"], data_identifier="../../x")
    for bad in (replace(good, plans_name="../../x"), replace(good, configurations={"3d_fullres": full})):
        with pytest.raises(UserInputError, match=r"must be the name of a file, without folders"):
            preprocess_dataset(raw, bad, workspace.preprocessed, workers=1)
    assert canary() == before


def test_the_plan_of_one_file_does_not_replace_another(workspace):
    other = plan_file(workspace).with_name("mine.json")
    other.write_bytes(plan_file(workspace).read_bytes())
    with pytest.raises(UserInputError, match=r'mine.json: is the plan "nnUNetPlans" .* write "mine" there'):
        preprocess(workspace, PreprocessOptions(NAME, plans_name="mine", workers=1))


@pytest.mark.parametrize("content", ['{"mine": 1}', "[1, 2]", '{"configurations": {}}', "no JSON"])
def test_planning_replaces_plans_only(workspace, content):
    file = plan_file(workspace).with_name("notes.json")
    file.write_text(content)
    with pytest.raises(UserInputError, match=r"notes.json: is not (a plan|valid JSON)"):
        plan(workspace, PlanOptions(NAME, plans_name="notes", workers=1))
    assert file.read_text() == content


def test_a_ct_whose_foreground_is_all_alike_is_not_planned(workspace):
    """Its standard deviation would be 0: every image would become the same."""
    folder = workspace.raw / NAME
    write_json(folder / "dataset.json", read_json(folder / "dataset.json") | {"channel_names": {"0": "CT"}})
    for number in range(2):
        image = np.full((24, 24, 24), 5, np.float32)
        image[0] = 7
        write_image(image, folder / "imagesTr" / f"ball_{number}_0000.nii.gz", spacing=(1.0, 1.0, 1.0))
    with pytest.raises(
        UserInputError, match=r'dataset.json: by the images, .*"std" must be .* CTNormalization uses it'
    ):
        plan(workspace, PlanOptions(NAME, workers=1))


def test_planning_again_replaces_a_plan_that_can_no_longer_be_used(workspace):
    say(workspace, "transpose_forward", [0, 0, 0])
    made = plan(workspace, PlanOptions(NAME, workers=1))
    assert read_json(plan_file(workspace))["transpose_forward"] == list(made.transpose_forward)


# What is removed


def folder_of_cases(workspace: Workspace) -> Path:
    return preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"], workers=1)).folders[
        "3d_fullres"
    ]


def test_only_cases_that_this_program_wrote_are_removed_when_they_left_the_dataset(workspace):
    folder = folder_of_cases(workspace)
    stale = folder / "left.case.safetensors"
    stale.write_bytes((folder / "ball_0.case.safetensors").read_bytes())
    foreign = folder / "weights.case.safetensors"
    write_case_file(foreign, {"weights": np.zeros(4, np.float32)}, {})
    damaged = folder / "notes.case.safetensors"
    damaged.write_bytes(b"mine")
    folder_of_cases(workspace)
    assert not stale.exists()
    assert foreign.exists()
    assert damaged.read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: links need a privilege on Windows")
def test_nothing_behind_a_link_is_removed(workspace, tmp_path):
    folder = folder_of_cases(workspace)
    elsewhere = tmp_path / "elsewhere"
    os.rename(folder, elsewhere)
    (elsewhere / "other.case.safetensors").write_bytes((elsewhere / "ball_0.case.safetensors").read_bytes())
    folder.symlink_to(elsewhere)
    folder_of_cases(workspace)
    assert (elsewhere / "other.case.safetensors").is_file()
    assert open_training_case(folder, "ball_1").data.ndim == 4


def test_configurations_that_differ_do_not_take_turns_in_one_folder(workspace):
    document = read_json(plan_file(workspace))
    document["configurations"] |= {
        "same": {"inherits_from": "3d_fullres", "batch_size": 9},
        "coarse": {"inherits_from": "3d_fullres", "spacing": [2.0, 2.0, 2.0]},
    }
    write_json(plan_file(workspace), document)
    with pytest.raises(UserInputError, match=r'3d_fullres and coarse differ and have the same "data_identifier"'):
        preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres", "coarse"], workers=1))
    folders = preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres", "same"], workers=1)).folders
    assert folders["same"] == folders["3d_fullres"]


def test_a_plan_of_a_users_configurations_alone_asks_which(workspace):
    document = read_json(plan_file(workspace))
    document["configurations"] = {"mine": document["configurations"]["2d"]}
    write_json(plan_file(workspace), document)
    with pytest.raises(UserInputError, match=r"no configuration is chosen; choose some of mine"):
        preprocess(workspace, PreprocessOptions(NAME, workers=1))


# What a model is called


@pytest.mark.parametrize(
    "parts",
    [("T", "P", "../x"), ("T", "a__b", "2d"), ("T", "a_", "2d"), ("T", "P", "_2d"), ("", "P", "2d"), ("T", "P", "/x")],
)
def test_a_part_of_a_models_name_leads_nowhere_and_can_be_told_from_the_others(parts):
    with pytest.raises(UserInputError, match=r"^The name of the (trainer|plans|configuration) cannot"):
        ModelName(*parts)


def test_a_folder_of_another_name_than_a_models_is_no_error():
    assert ModelName.parse("T__P__2d") == ModelName("T", "P", "2d")
    for renamed in ("T__P", "T__P__2d__x", "T__P__", "T___P__2d", "liver"):
        assert ModelName.parse(renamed) is None


def test_a_configuration_of_another_name_than_a_folder_can_have_is_not_trained(workspace):
    document = read_json(plan_file(workspace))
    document["configurations"] |= {"a__b": {"inherits_from": "2d"}, "../../x": {"inherits_from": "2d"}}
    write_json(plan_file(workspace), document)
    for name in ("a__b", "../../x"):
        with pytest.raises(UserInputError, match="must"):
            train(workspace, TrainOptions(NAME, name, 0, device="cpu"))
    assert not workspace.results.exists()
    assert not (workspace.preprocessed / NAME / "nnUNetPlans_2d").exists()


# What does not fit


def test_a_plan_of_tiny_voxels_is_a_sentence_before_anything_is_allocated(workspace):
    for configuration in ("2d", "3d_fullres"):
        say(workspace, "spacing", [1e-6] * int(configuration[0]), configuration)
    with pytest.raises(
        UserInputError, match=r"ball_\d: .*nnUNetPlans.json, 3d_fullres: the resampled image of .* correct the"
    ):
        preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"], workers=1))
    assert list((workspace.preprocessed / NAME / "nnUNetPlans_3d_fullres").iterdir()) == []


def test_an_image_of_huge_voxels_is_a_sentence_before_anything_is_allocated(workspace):
    for folder, name, array in (
        ("imagesTr", "ball_0_0000", np.arange(24**3, dtype=np.int16).reshape(24, 24, 24) + 1),
        ("labelsTr", "ball_0", np.ones((24, 24, 24), np.uint8)),
    ):
        write_image(array, workspace.raw / NAME / folder / f"{name}.nii.gz", spacing=(500.0, 500.0, 500.0))
    with pytest.raises(
        UserInputError, match=r"ball_0: .* needs about [\d,]+ GB, but this computer has \d+ GB; correct"
    ):
        preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"], workers=1))


def test_a_single_axis_that_explodes_is_a_sentence_too(workspace, monkeypatch):
    """The image would fit, the matrix that makes it would not."""
    monkeypatch.setattr(budget, "total_memory", lambda: 1 << 30)
    document = read_json(plan_file(workspace))
    full = document["configurations"]["3d_fullres"]
    full["spacing"] = [24.0, 24.0, 24 / 50_000_000]
    write_json(plan_file(workspace), document)
    with pytest.raises(UserInputError, match=r"resampling 24 voxels to 50,000,000 needs about \d+ GB"):
        preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"], workers=1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 10**9}, "a training step of the network with a batch_size of 1000000000 needs about"),
        ({"patch_size": [65536, 65536, 65536]}, "a training step of the network with a batch_size of 2 needs about"),
        (
            {"patch_size": [4096, 16, 16]},
            r"a volume of 4,8\d\d × 2,\d+ × 2,\d+ voxels, from which a turned patch is cut, needs about",
        ),
    ],
)
def test_a_network_that_no_computer_trains_is_a_sentence_before_anything_is_preprocessed(workspace, change, words):
    document = read_json(plan_file(workspace))
    full = document["configurations"]["3d_fullres"]
    full["architecture"]["arch_kwargs"] |= {
        "n_stages": 2,
        "features_per_stage": [1, 1],
        "kernel_sizes": 3,
        "strides": [1, 2],
        "n_conv_per_stage": 1,
        "n_conv_per_stage_decoder": 1,
    }
    full |= change
    plan_file(workspace).write_text(json.dumps(document))
    with pytest.raises(UserInputError, match=rf"nnUNetPlans.json, 3d_fullres: {words}") as caught:
        train(workspace, TrainOptions(NAME, "3d_fullres", 0, device="cpu"))
    assert str(plan_file(workspace)) in str(caught.value)
    assert not (workspace.preprocessed / NAME / "nnUNetPlans_3d_fullres").exists()
