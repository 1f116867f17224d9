"""`plan --from-model`: the plan of a trained model for another dataset, whose network then fits its weights."""

from __future__ import annotations

import dataclasses

import pytest

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.models import ModelFolder
from SegAutoPlanLib.networks import plan_start, planned_shapes
from SegAutoPlanLib.pipeline.plan import PlanOptions, plan
from SegAutoPlanLib.pipeline.pretrained import read_pretrained
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.planning.adoption import adopt_plan
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, write_balls


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    workspace = Workspace.at(tmp_path / "other")
    write_balls(workspace.raw, cases=5)
    return workspace


def test_the_plan_of_a_model_fits_its_weights_in_another_dataset(workspace, model):
    source = ModelFolder.read(model)
    made = plan(workspace, PlanOptions(NAME, from_model=model))
    path = workspace.preprocessed / NAME / f"{made.plans_name}.json"
    assert made.plans_name == f"nnUNetPlans_of_{source.plan.dataset_name}"
    assert read_plan(path) == dataclasses.replace(made, explanation=read_plan(path).explanation)
    before, after = source.plan.configurations["3d_fullres"], made.configurations["3d_fullres"]
    identifier = f"{made.plans_name}_3d_fullres"
    assert after == dataclasses.replace(before, data_identifier=identifier)
    # One channel stands for one: CT is normalised as the network has learned it.
    assert made.foreground_intensities == source.plan.foreground_intensities
    assert made.dataset_name == NAME
    found = read_pretrained(model)
    shapes = planned_shapes(after.architecture, 1, found.label_scheme.head_count)
    assert plan_start(found, shapes, found.channel_names, found.label_scheme).share == 1
    assert not (workspace.preprocessed / NAME / "dataset_fingerprint.json").exists(), "nothing had to be measured"
    assert any(f"train {NAME} 3d_fullres 0 --plans" in sentence for sentence in made.explanation)


def test_a_new_channel_is_normalised_as_its_own_name_and_images_ask(model):
    source = ModelFolder.read(model)
    own = dataclasses.replace(source.plan.foreground_intensities[0], mean=7.0)
    (name,) = source.channel_names
    made = adopt_plan(source.plan, [name], ["T2", name.lower()], [own, own], NAME, "SimpleITKIO", "mine")
    assert made.foreground_intensities == (own, source.plan.foreground_intensities[0])
    before, after = source.plan.configurations["2d"], made.configurations["2d"]
    assert after.normalization_schemes == ("ZScoreNormalization", before.normalization_schemes[0])
    assert len(after.use_mask_for_norm) == 2


def test_a_dataset_with_more_channels_gets_their_intensities_measured(workspace, model):
    folder = workspace.raw / NAME
    document = {**read_json(folder / "dataset.json"), "channel_names": {"0": "CT", "1": "T2"}}
    write_json(folder / "dataset.json", document)
    for image in sorted((folder / "imagesTr").glob("*_0000.nii.gz")):
        image.with_name(image.name.replace("_0000", "_0001")).write_bytes(image.read_bytes())
    made = plan(workspace, PlanOptions(NAME, from_model=model))
    theirs = ModelFolder.read(model).plan.foreground_intensities
    assert made.foreground_intensities[0] == theirs[0]
    assert 100 < made.foreground_intensities[1].mean < 400


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--spacing", "1", "1", "1"], "--spacing: the plan of a model"),
        (["--planner", "resenc_m"], "--planner: the plan of a model"),
        (["--plans", "nnUNetPlans"], "--plans nnUNetPlans: is the name of a planner"),
    ],
)
def test_what_contradicts_the_models_plan_is_a_sentence(more, told, workspace, model, capsys):
    command = ["plan", NAME, "--from-model", str(model), *more, "--workspace", str(workspace.raw.parent)]
    assert main(command) == 2
    assert told in capsys.readouterr().err
    assert not list(workspace.preprocessed.rglob("*Plans*"))


def test_a_plan_for_other_channels_than_the_models_is_a_sentence(workspace, model):
    document = read_json(model / "dataset.json")
    write_json(model / "dataset.json", {**document, "channel_names": {"0": "CT", "1": "MR"}})
    with pytest.raises(UserInputError, match=r"plans\.json: is for 1 channels, but dataset\.json beside it names 2"):
        plan(workspace, PlanOptions(NAME, from_model=model))
