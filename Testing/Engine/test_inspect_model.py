"""What a model is, is told before anybody trusts it, from a folder or an archive alike."""

from __future__ import annotations

import io
import json

import pytest
import torch

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.exchange.member_file import HEAD_BYTES, TAIL_BYTES, MemberFile

from .shared_models import DATASET, MODEL, changed_plan, files_below, inspected, packed, shared_model


@pytest.fixture
def folder(sound, tmp_path):
    return shared_model(sound, tmp_path / "results")


def test_a_folder_and_its_archive_tell_the_same(folder, tmp_path):
    archive = packed(folder.parent.parent, tmp_path / "liver.zip")
    before = files_below(tmp_path)
    by_folder, by_dataset, by_archive = map(inspected, (folder, folder.parent, archive))
    assert by_folder.models == by_dataset.models == by_archive.models
    assert by_archive.is_usable
    assert files_below(tmp_path) == before


def test_it_tells_what_is_segmented_from_what_and_how_well(folder):
    words = str(inspected(folder))
    for said in (
        "can be used here",
        "segments liver (1), tumour (2)",
        "expects 1 channel per case: CT (.nii.gz)",
        "patches of 16 × 16 × 16 voxels",
        "plain U-Net of 2 stages",
        "planned by ExperimentPlanner",
        "fold 0: final",
        "mirrored on 3 axes); mean validation Dice 0.750",
        "cross-validation of folds 0_1: mean Dice 0.800",
        "licence: CC-BY-4.0",
        "licence text in LICENSE: Do what you like.",
        "description: Livers of nobody",
    ):
        assert said in words


def test_the_verb_prints_json_and_its_exit_code_says_whether_it_can_be_used(folder, capsys):
    assert main(["inspect-model", str(folder), "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)["models"]
    assert told["usable"] is True
    assert (told["dataset"], told["name"]) == (DATASET, MODEL)
    assert told["segments"] == {"liver": [1], "tumour": [2]}
    assert [fold["validation_dice"] for fold in told["folds"]] == [0.75, 0.875]
    assert told["network"]["configuration"] == "3d_fullres"
    changed_plan(folder, lambda plan: plan.update(label_manager="TheirLabels"))
    assert main(["inspect-model", str(folder)]) == 2
    assert "CANNOT BE USED HERE" in capsys.readouterr().out


def spoil(folder, **changes):
    for path in folder.glob("fold_*/checkpoint_final.pth"):
        torch.save({**torch.load(path, weights_only=False), **changes}, path)


def test_a_trainer_with_another_network_is_named(folder):
    spoil(folder, trainer_name="nnUNet_Primus_M_Trainer")
    [model] = inspected(folder).models
    assert not model.is_usable
    assert "nnUNet_Primus_M_Trainer, whose network is not the one that its plan describes" in model.problem


def test_weights_that_do_not_fit_are_told_by_their_headers(folder):
    changed_plan(
        folder,
        lambda plan: plan["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"].update(
            features_per_stage=[8, 16]
        ),
    )
    [model] = inspected(folder).models
    assert "does not fit the network of its plan" in model.problem


def test_one_bad_checkpoint_is_told_and_the_others_still_count(folder):
    (folder / "fold_1" / "checkpoint_final.pth").write_bytes(b"\x80\x02cos\nsystem\n.")
    report = inspected(folder)
    assert report.is_usable
    assert "fold 1: final cannot be used" in str(report)
    assert "contains code (os.system)" in str(report)


def test_a_second_stage_says_whether_the_first_is_there(both_stages, tmp_path):
    from .balls import NAME

    results = both_stages.results / NAME
    second = results / "nnUNetTrainer__nnUNetPlans__3d_cascade_fullres"
    assert "its first stage, 3d_lowres, is there" in str(inspected(second))
    alone = packed(second, tmp_path / "second.zip", f"{NAME}/{second.name}/")
    assert "its first stage, 3d_lowres, is NOT there" in str(inspected(alone))


def test_without_a_licence_that_is_said(sound):
    assert "licence: nothing is said" in str(inspected(sound))


def test_files_of_no_model_are_told_before_an_import_refuses_them(folder, tmp_path):
    archive = packed(folder.parent.parent, tmp_path / "x.zip", more={f"{DATASET}/run.sh": b"rm"})
    report = inspected(archive)
    assert not report.is_usable
    assert "run.sh', which is no file of a model" in report.problem


@pytest.mark.parametrize("name", ["nothing.zip", "empty"])
def test_what_is_no_model_is_a_sentence(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserInputError, match=r"there is no such file|holds no model"):
        inspected(tmp_path / name)


def test_a_file_that_only_flows_can_be_sought_in():
    content = bytes(range(256)) * ((HEAD_BYTES + TAIL_BYTES) // 256 + 9000)
    passes = []

    def chunks():
        passes.append(1)
        return (content[at : at + 300_001] for at in range(0, len(content), 300_001))

    file = io.BufferedReader(MemberFile(len(content), chunks), 64)
    for place in (0, len(content) - 22, len(content) - TAIL_BYTES, 5, HEAD_BYTES - 20):
        file.seek(place)
        assert file.read(20) == content[place : place + 20]
    assert len(passes) == 1
    file.seek(HEAD_BYTES + 5)
    assert file.read(20) == content[HEAD_BYTES + 5 : HEAD_BYTES + 25]
    assert len(passes) == 2
    file.seek(-3, 2)
    assert file.read(20) == content[-3:]
    assert file.read(1) == b""
