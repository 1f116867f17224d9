"""Models are passed on and taken in: whole or not at all, with their names and colours, and as they were."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.exchange import installing
from SegAutoPlanLib.exchange.postprocessing import MODULE, pickle_of, steps_of
from SegAutoPlanLib.inference import load_model
from SegAutoPlanLib.models import ModelFolder
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.pipeline.export_model import ExportModelOptions, export_model
from SegAutoPlanLib.pipeline.import_model import ImportModelOptions, import_model
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.workspace import Workspace

from .shared_models import DATASET, LOOKS, MODEL, changed_plan, exported, files_below, imported, packed, shared_model

INSIDE = f"{DATASET}/{MODEL}"


@pytest.fixture
def folder(sound, tmp_path) -> Path:
    return shared_model(sound, tmp_path / "results")


@pytest.fixture
def archive(folder, tmp_path) -> Path:
    return exported([folder], tmp_path / "liver.zip").archive


def names_in(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_model(path, [0, 1]).weights for path in (one, other))
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(first, second, strict=True)
    )


class StopsAfter(Reporter):
    """Asks for a stop after so many questions."""

    def __init__(self, questions: int) -> None:
        self._left = questions

    def stop_requested(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_what_was_exported_is_imported_with_equal_weights_names_and_colours(folder, archive, tmp_path):
    [came] = imported(archive, tmp_path / "there").folders
    assert came == tmp_path / "there" / "results" / DATASET / MODEL
    assert same_weights(came, folder)
    assert (came / "dataset.json").read_bytes() == (folder / "dataset.json").read_bytes()
    looks = ModelFolder.read(came).appearances
    assert {name: look.to_json() for name, look in looks.items()} == LOOKS
    assert (came / "LICENSE").read_text() == "Do what you like.\n"
    assert ModelFolder.read(came).folds[1].validation_dice() == 0.875


def test_an_archive_has_nnunets_members_and_nothing_of_this_computer(archive):
    names = names_in(archive)
    assert names == [
        *(
            f"{INSIDE}/fold_{fold}/{name}"
            for fold in (0, 1)
            for name in ("checkpoint_final.pth", "progress.png", "validation/summary.json")
        ),
        *(
            f"{INSIDE}/crossval_results_folds_0_1/{name}"
            for name in ("summary.json", "postprocessing.pkl", "postprocessing.json")
        ),
        *(f"{INSIDE}/{name}" for name in ("plans.json", "dataset_fingerprint.json", "dataset.json", "LICENSE")),
    ]
    with zipfile.ZipFile(archive) as opened:
        content = b"".join(opened.read(name) for name in names)
    assert b"somebody" not in content
    assert b"a.nii.gz" in content


def test_an_archive_is_the_same_each_time(folder, archive, tmp_path):
    again = exported([folder], tmp_path / "again.zip").archive
    assert again.read_bytes() == archive.read_bytes()


def test_weights_alone_are_exported_unless_training_is_to_go_on_elsewhere(folder, archive, tmp_path):
    whole = exported([folder], tmp_path / "whole.zip", keep_optimizer=True).archive
    checkpoint = f"{INSIDE}/fold_0/checkpoint_final.pth"
    with zipfile.ZipFile(whole) as opened:
        assert opened.read(checkpoint) == (folder / "fold_0" / "checkpoint_final.pth").read_bytes()
    [came] = imported(archive, tmp_path / "there").folders
    content = read_checkpoint(came / "fold_0" / "checkpoint_final.pth")
    assert content.keys() == {
        "network_weights",
        "current_epoch",
        "init_args",
        "trainer_name",
        "inference_allowed_mirroring_axes",
    }
    assert content["inference_allowed_mirroring_axes"] == (0, 1, 2)
    # nnU-Net loads strictly: every name that it has for a tensor must be there.
    assert (
        content["network_weights"].keys()
        == read_checkpoint(folder / "fold_0" / "checkpoint_final.pth")["network_weights"].keys()
    )
    assert archive.stat().st_size < 0.7 * whole.stat().st_size


def test_only_the_chosen_folds_and_checkpoint_are_exported(folder, tmp_path):
    (folder / "fold_0" / "checkpoint_final.pth").rename(folder / "fold_0" / "checkpoint_best.pth")
    archive = exported([folder], tmp_path / "best.zip", folds=[0], checkpoint="best").archive
    assert [name for name in names_in(archive) if name.endswith(".pth")] == [f"{INSIDE}/fold_0/checkpoint_best.pth"]
    with pytest.raises(UserInputError, match="checkpoint_best"):
        exported([folder], tmp_path / "other.zip", folds=[1], checkpoint="best")
    assert not (tmp_path / "other.zip").exists()


def test_a_dataset_is_exported_with_all_its_models_and_their_ensembles(folder, tmp_path):
    workspace = Workspace.at(tmp_path)
    other = Path(shutil.copytree(folder, folder.with_name("nnUNetTrainerX__nnUNetPlans__3d_fullres")))
    for names in ((MODEL, other.name), (MODEL, "nnUNetTrainer__nnUNetPlans__2d")):
        ensemble = folder.parent / "ensembles" / f"ensemble___{names[0]}___{names[1]}___0_1"
        ensemble.mkdir(parents=True)
        (ensemble / "summary.json").write_text('{"foreground_mean": {"Dice": 0.9}}')
    (folder.parent / "inference_information.json").write_text('{"some_plans_file": "/home/somebody/plans.json"}')
    archive = exported(["3"], tmp_path / "all.zip", workspace)
    assert set(archive.models) == {INSIDE, f"{DATASET}/{other.name}"}
    ensembles = [name for name in names_in(archive.archive) if "ensembles" in name]
    assert ensembles == [f"{DATASET}/ensembles/ensemble___{MODEL}___{other.name}___0_1/summary.json"]
    came = imported(archive.archive, tmp_path / "there")
    assert {folder.name for folder in came.folders} == {MODEL, other.name}
    information = tmp_path / "there" / "results" / DATASET / "inference_information.json"
    assert information.read_text() == '{\n    "some_plans_file": "plans.json"\n}'
    with pytest.raises(UserInputError, match="no trained model of 2d"):
        exported(["3"], tmp_path / "none.zip", workspace, configurations=["2d"])


def test_the_first_stage_of_a_cascade_goes_along(both_stages, tmp_path):
    from .balls import NAME

    second = both_stages.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_cascade_fullres"
    done = exported([second], tmp_path / "cascade.zip")
    assert [name.rpartition("__")[2] for name in done.models] == ["3d_cascade_fullres", "3d_lowres"]
    assert imported(done.archive, tmp_path / "there").notes == ()
    alone = packed(second, tmp_path / "alone.zip", f"{NAME}/{second.name}/")
    [note] = imported(alone, tmp_path / "elsewhere").notes
    assert f"import {NAME}/nnUNetTrainer__nnUNetPlans__3d_lowres, its first stage, too" in note


def test_an_archive_that_is_there_is_replaced_only_if_that_is_wanted(folder, archive):
    before = archive.read_bytes()
    with pytest.raises(UserInputError, match="--overwrite"):
        exported([folder], archive)
    assert archive.read_bytes() == before
    exported([folder], archive, overwrite=True, folds=[0])
    assert archive.read_bytes() != before


@pytest.mark.parametrize("questions", [0, 1, 3, 8])
def test_an_export_that_is_stopped_leaves_nothing(folder, tmp_path, questions):
    out = tmp_path / "out" / "liver.zip"
    with pytest.raises(StopRequested):
        export_model(Workspace.at(tmp_path), ExportModelOptions([folder], out), StopsAfter(questions))
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("questions", [0, 1, 5, 24])
def test_an_import_that_is_stopped_leaves_nothing(archive, tmp_path, questions):
    with pytest.raises(StopRequested):
        import_model(Workspace.at(tmp_path / "there"), ImportModelOptions(archive), StopsAfter(questions))
    assert files_below(tmp_path / "there") == {}


def test_models_that_are_there_are_replaced_only_if_that_is_wanted(archive, tmp_path):
    [came] = imported(archive, tmp_path / "there").folders
    (came / "mine.txt").write_text("mine")
    before = files_below(tmp_path / "there")
    with pytest.raises(UserInputError, match="is there already"):
        imported(archive, tmp_path / "there")
    assert files_below(tmp_path / "there") == before
    imported(archive, tmp_path / "there", overwrite=True)
    assert not (came / "mine.txt").exists()
    assert len(files_below(tmp_path / "there")) == len(before) - 1


def test_a_renaming_that_fails_in_the_midst_is_undone(folder, archive, tmp_path, monkeypatch):
    shutil.copytree(folder, folder.with_name("nnUNetTrainerX__nnUNetPlans__3d_fullres"))
    both = packed(folder.parent.parent, tmp_path / "both.zip")
    imported(archive, tmp_path / "there")
    before = files_below(tmp_path / "there")
    rename, count = os.replace, iter(range(100))

    def fails_late(old, new):
        if next(count) == 2:
            raise PermissionError(13, "no", str(new))
        rename(old, new)

    monkeypatch.setattr(installing.os, "replace", fails_late)
    with pytest.raises(UserInputError, match="access is denied"):
        imported(both, tmp_path / "there", overwrite=True)
    assert files_below(tmp_path / "there") == before


def test_what_a_killed_import_left_is_cleared_away_and_the_former_model_comes_back(archive, tmp_path):
    [came] = imported(archive, tmp_path / "there").folders
    results = came.parent.parent
    came.rename(came.with_name(f".former_{MODEL}"))
    (results / ".importing_x" / DATASET).mkdir(parents=True)
    with pytest.raises(UserInputError, match="is there already"):
        imported(archive, tmp_path / "there")
    assert [path.name for path in results.iterdir()] == [DATASET]
    assert [path.name for path in came.parent.iterdir()] == [MODEL]


def test_another_name_makes_room_beside_what_is_there(archive, tmp_path):
    imported(archive, tmp_path / "there")
    [came] = imported(archive, tmp_path / "there", name="Dataset007_Other").folders
    assert came.parent.name == "Dataset007_Other"


@pytest.mark.parametrize("prefix", ["", "nnUNet_results/", "some/where/"])
def test_archives_of_any_program_are_read_whatever_folder_they_are_in(folder, tmp_path, prefix):
    archive = packed(
        folder.parent.parent,
        tmp_path / "any.zip",
        prefix,
        {"__MACOSX/._x": b"", f"{prefix}{INSIDE}/.DS_Store": b"", f"{prefix}README.md": b"Read me"},
    )
    came = imported(archive, tmp_path / "there")
    assert came.left_out == {"what file browsers leave behind": 2}
    there = tmp_path / "there" / "results" / DATASET
    assert (there / "README.md").read_text() == "Read me"
    assert same_weights(there / MODEL, folder)


def test_a_model_without_a_dataset_takes_that_of_its_plan_and_a_renamed_one_its_true_name(folder, tmp_path):
    renamed = folder.rename(folder.with_name("our best model"))
    archive = packed(renamed, tmp_path / "bare.zip")
    assert imported(archive, tmp_path / "there").folders == (tmp_path / "there" / "results" / DATASET / MODEL,)
    [from_folder] = imported(renamed, tmp_path / "other").folders
    assert from_folder.name == MODEL
    changed_plan(renamed, lambda plan: plan.update(dataset_name="Liver"))
    with pytest.raises(UserInputError, match="--name Dataset123_Liver"):
        imported(packed(renamed, tmp_path / "nameless.zip"), tmp_path / "third")


def test_a_model_of_the_workspace_is_not_imported_over_itself(folder, tmp_path):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserInputError, match="is in this workspace already"):
        imported(folder, tmp_path, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_link_in_a_models_folder_is_not_followed_into_an_archive(folder, tmp_path):
    (tmp_path / "private").write_text("private")
    for name in ("fold_0/progress.png", "dataset_fingerprint.json", "LICENSE"):
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "private")
    names = names_in(exported([folder], tmp_path / "liver.zip").archive)
    assert not [name for name in names if name.endswith(("fold_0/progress.png", "fingerprint.json", "LICENSE"))]


def test_a_licence_that_several_models_share_is_no_obstacle_unless_it_differs(folder, tmp_path):
    (folder.parent / "LICENSE").write_text("Use it well.")
    first = exported([folder], tmp_path / "first.zip").archive
    imported(first, tmp_path / "there")
    other = folder.rename(folder.with_name("nnUNetTrainerX__nnUNetPlans__3d_fullres"))
    imported(exported([other], tmp_path / "second.zip").archive, tmp_path / "there")
    assert len(list((tmp_path / "there" / "results" / DATASET).iterdir())) == 3
    (other.parent / "LICENSE").write_text("Use it not.")
    other.rename(other.with_name("nnUNetTrainerY__nnUNetPlans__3d_fullres"))
    with pytest.raises(UserInputError, match="LICENSE: is there already"):
        imported(other.parent, tmp_path / "there")


def test_a_folder_is_imported_without_what_is_no_part_of_the_model(folder, tmp_path):
    (folder / "notes.docx").write_bytes(b"x")
    (folder / "fold_0" / "validation" / "case.npz").write_bytes(b"x")
    came = imported(folder.parent, tmp_path / "there")
    assert came.left_out == {"probabilities": 1, "no files of a model": 1}
    assert same_weights(came.folders[0], folder)


def test_any_trainer_is_taken_whose_weights_fit(folder, tmp_path):
    for fold in (0, 1):
        path = folder / f"fold_{fold}" / "checkpoint_final.pth"
        content = torch.load(path, weights_only=False)
        torch.save({**content, "trainer_name": "TheirTrainer"}, path)
    theirs = folder.rename(folder.with_name("TheirTrainer__nnUNetPlans__3d_fullres"))
    [came] = imported(exported([theirs], tmp_path / "x.zip").archive, tmp_path / "there").folders
    assert came.name == theirs.name
    assert read_checkpoint(came / "fold_0" / "checkpoint_final.pth")["trainer_name"] == "TheirTrainer"


def test_the_postprocessing_that_is_exported_names_nnunets_function_and_holds_plain_values(archive):
    with zipfile.ZipFile(archive) as opened:
        content = opened.read(f"{INSIDE}/crossval_results_folds_0_1/postprocessing.pkl")
    opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(content)]
    named = {argument for name, argument in opcodes if "GLOBAL" in name or "INST" in name}
    assert named == {f"{MODULE} remove_all_but_largest_component_from_segmentation"}

    class Names(pickle.Unpickler):
        def find_class(self, module, name):
            return (module, name)

    functions, options = Names(io.BytesIO(content)).load()
    assert functions == [(MODULE, "remove_all_but_largest_component_from_segmentation")] * 2
    assert options == [{"labels_or_regions": [(1, 2), 2]}, {"labels_or_regions": 1}]
    nothing = steps_of({"postprocessing_fns": [], "postprocessing_kwargs": []}, Path("x"))
    assert pickle.loads(pickle_of(nothing)) == ([], [])


def test_a_full_disk_is_said_before_anything_is_unpacked(archive, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=installing.FREE_BYTES)
    monkeypatch.setattr(installing.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserInputError, match=r"unpacks to .* but 0\.5 GB are free"):
        imported(archive, tmp_path / "there")
    assert files_below(tmp_path / "there") == {}
