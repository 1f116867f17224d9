"""A trained model is found, read and explained without torch, and asked the same way by everybody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.models import ModelFolder, ModelName, find_models
from SegAutoPlanLib.models.names import folds_to_average

from .planning_fixtures import fingerprint_like, liver

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model of two finished folds and one that has only begun."""
    from SegAutoPlanLib.planning import plan_experiments, write_plan

    folder = tmp_path / "Dataset003_Liver" / NAME
    description = {
        "channel_names": {"0": "CT", "1": "PET"},
        "labels": {"background": 0, "liver": [1, 2], "tumour": 2, "ignore": 3},
        "regions_class_order": [1, 2],
        "file_ending": ".nii.gz",
        "segments": {"tumour": {"color": [1, 0.5, 0], "terminology": "t"}},
    }
    dataset = liver()
    write_plan(plan_experiments(fingerprint_like(dataset), dataset), folder / "plans.json")
    (folder / "dataset.json").write_text(json.dumps(description))
    for fold, names in (("10", ["final", "best"]), ("2", ["final", "best"]), ("3", ["best", "latest"]), ("4", [])):
        (folder / f"fold_{fold}" / "validation").mkdir(parents=True)
        for name in names:
            (folder / f"fold_{fold}" / f"checkpoint_{name}.pth").touch()
    summary = {"foreground_mean": {"Dice": 0.75}}
    (folder / "fold_2" / "validation" / "summary.json").write_text(json.dumps(summary))
    return folder


def test_names_channels_labels_and_looks_are_those_of_the_files(folder):
    model = ModelFolder.read(folder)
    assert model.name == ModelName("nnUNetTrainer", "nnUNetPlans", "3d_fullres")
    assert str(model.name) == NAME
    assert model.channel_names == ("CT", "PET")
    assert model.label_scheme.segments == (("liver", (1, 2)), ("tumour", (2,)))
    assert model.appearances["tumour"].color == (1, 0.5, 0)
    assert model.appearances["liver"].color != model.appearances["tumour"].color
    assert model.plan.configurations["3d_fullres"].name == "3d_fullres"


def test_folds_are_in_the_order_of_their_numbers_and_say_what_they_have(folder):
    model = ModelFolder.read(folder)
    assert [fold.name for fold in model.folds] == ["2", "3", "10"]
    assert [fold.is_finished for fold in model.folds] == [True, False, True]
    assert model.folds[0].validation_dice() == 0.75
    assert model.folds[1].validation_dice() is None
    assert model.folds_with("final") == ("2", "10")
    assert model.folds_with("latest") == ("3",)
    assert list(model.checkpoint_files([3], "best").values()) == [folder / "fold_3" / "checkpoint_best.pth"]


def test_all_is_not_averaged_in_with_the_numbered_folds(folder):
    (folder / "fold_all").mkdir()
    (folder / "fold_all" / "checkpoint_final.pth").touch()
    model = ModelFolder.read(folder)
    assert model.folds_with("final") == ("2", "10")
    for fold in ("2", "10"):
        (folder / f"fold_{fold}" / "checkpoint_final.pth").unlink()
    assert ModelFolder.read(folder).folds_with("final") == ("all",)


def test_an_unfinished_training_offers_its_best_checkpoint(folder):
    for fold in ("2", "10"):
        (folder / f"fold_{fold}" / "checkpoint_final.pth").unlink()
    model = ModelFolder.read(folder)
    assert model.best_checkpoint == "best"
    with pytest.raises(UserInputError, match=r"holds no weights \(e\.g\. fold_0/checkpoint_final\.pth\)"):
        model.checkpoint_files()


def test_words_and_json_tell_what_the_model_is(folder):
    model = ModelFolder.read(folder)
    assert model.summary == "Segments liver, tumour from CT, PET (2 folds)."
    assert "fold 2: finished, mean validation Dice 0.750" in str(model)
    assert "fold 3: unfinished, has best, latest" in str(model)
    assert json.loads(json.dumps(model.to_json()))["folds"]["2"]["validation_dice"] == 0.75


def test_models_of_a_workspace_are_listed_and_what_is_none_is_passed_over(folder, tmp_path):
    begun = tmp_path / "Dataset003_Liver" / "nnUNetTrainer__nnUNetPlans__2d"
    begun.mkdir()
    (begun / "plans.json").write_text("{}")
    assert [model.path for model in find_models(tmp_path)] == [folder]
    assert find_models(tmp_path / "nowhere") == []


def test_a_renamed_folder_is_a_model_all_the_same(folder):
    renamed = folder.rename(folder.with_name("my liver model"))
    assert ModelFolder.read(renamed).name is None


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "dataset.json").unlink(), "there is no dataset.json"),
        (lambda folder: (folder / "dataset.json").write_text("[]"), "must hold one JSON object"),
        (lambda folder: (folder / "dataset.json").write_text('{"labels": {}}'), 'lacks "channel_names", "file_ending"'),
    ],
)
def test_a_folder_that_is_no_model_is_one_sentence(folder, spoil, sentence):
    spoil(folder)
    with pytest.raises(UserInputError, match=sentence):
        ModelFolder.read(folder)


def test_models_are_listed_and_explained_without_torch_or_image_readers(folder):
    code = (
        "import sys\n"
        "from SegAutoPlanLib.models import find_models\n"
        f"[model] = find_models({str(folder.parent.parent)!r})\n"
        "print(model)\n"
        "print([name for name in ('torch', 'SimpleITK', 'scipy', 'numpy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "Segments liver, tumour" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["fold_0_old", "fold_x", "fold_", "fold_-1", "fold_٣", "fold_00", "fold_99999999"])
def test_only_folders_of_numbers_are_folds(folder, name):
    (folder / name).mkdir()
    (folder / name / "checkpoint_final.pth").touch()
    assert [fold.name for fold in ModelFolder.read(folder).folds] == ["2", "3", "10"]


@pytest.mark.parametrize(
    ("given", "expected"), [(["0", 1, "01"], (0, 1)), (["all"], ("all",)), ([0, "0"], (0,)), (["4", "2"], (4, 2))]
)
def test_folds_are_numbers_each_once_or_all(given, expected):
    assert folds_to_average(given) == expected


@pytest.mark.parametrize(
    "given", ["../x", "x", "-1", "", " 0", "0 ", "1.0", "1e3", "²", "٣", "0x1", "9" * 5000, True, None, 1.0, -1, 2**70]
)
def test_what_is_no_fold_is_a_sentence(given):
    with pytest.raises(UserInputError, match=r'The fold .* is neither a number from 0 to 1,000,000 nor "all"'):
        folds_to_average([given])


def test_all_is_not_averaged_with_others():
    with pytest.raises(UserInputError, match="give it alone"):
        folds_to_average(["all", 1])


@pytest.mark.parametrize(
    "summary",
    ["", "[]", "{}", '{"foreground_mean": []}', '{"foreground_mean": {"Dice": "x"}}', "[" * 10_000]
    + [
        f'{{"foreground_mean": {{"Dice": {dice}}}}}'
        for dice in ("-1", "2", "1e999", "Infinity", "true", "9" * 30, "[]")
    ],
)
def test_a_hostile_summary_is_a_sentence(folder, summary):
    (folder / "fold_2" / "validation" / "summary.json").write_text(summary)
    with pytest.raises(UserInputError, match=r"fold_2.*summary\.json"):
        ModelFolder.read(folder).folds[0].validation_dice()


@pytest.mark.parametrize("dice", ["NaN", "null"])
def test_a_mean_of_nothing_is_not_known(folder, dice):
    (folder / "fold_2" / "validation" / "summary.json").write_text(f'{{"foreground_mean": {{"Dice": {dice}}}}}')
    assert ModelFolder.read(folder).folds[0].validation_dice() is None


def test_a_hostile_neighbour_does_not_break_the_list(folder):
    for name, content in (("a", "[" * 100_000), ("b", "\x00"), ("c", '{"channel_names": 7, "labels": []}'), ("d", "")):
        neighbour = folder.parent / f"nnUNetTrainer__nnUNetPlans__{name}"
        (neighbour / "fold_0").mkdir(parents=True)
        (neighbour / "fold_0" / "checkpoint_final.pth").touch()
        (neighbour / "plans.json").write_text(content)
        (neighbour / "dataset.json").write_text(content)
    (folder.parent / "loop").symlink_to(folder.parent / "loop")
    (folder.parent / "file").mkdir()
    (folder.parent / "file" / "plans.json").mkdir()
    assert [model.path for model in find_models(folder.parent.parent)] == [folder]
