"""The files and folds of a model folder agree, and fit the computer, before weights are read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.inference import Segmenter, load_model
from SegAutoPlanLib.networks import (
    write_checkpoint,
)

from .checkpoint_models import (
    Content,
    checkpoint_of,
    sound_content,
    with_value,
)

FOLDERS: dict[str, tuple[str, Callable[[Content], None], str]] = {
    "another configuration": ("fold_1", with_value("init_args", "configuration", value="2d"), "fold_1"),
    "other mirroring axes": ("fold_1", with_value("inference_allowed_mirroring_axes", value=(0,)), "mirroring"),
    "another trainer": ("fold_1", with_value("trainer_name", value="nnUNetTrainerNoMirroring"), "trainer"),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_folds_of_different_trainings_are_not_averaged(what, model):
    _, change, words = FOLDERS[what]
    content = sound_content(model)
    change(content)
    write_checkpoint(checkpoint_of(model, 1), content)
    with pytest.raises(UserInputError, match=words):
        load_model(model)
    assert load_model(model, [0]).folds == ("0",)


@pytest.mark.parametrize("folds", [["../x"], ["x"], ["all", "1"], [-1], [""], [True], [1.5], ["1e3"], ["٣"], [10**9]])
def test_a_fold_is_a_number_or_all(folds, model):
    with pytest.raises(UserInputError, match=r'fold|"all"'):
        load_model(model, folds)


def test_a_model_of_another_trainers_network_says_so(model):
    content = {**sound_content(model), "trainer_name": "nnUNet_Primus_M_Trainer"}
    write_checkpoint(checkpoint_of(model), content)
    with pytest.raises(UserInputError, match="nnUNet_Primus_M_Trainer"):
        load_model(model, [0])


def test_files_of_two_models_in_one_folder_are_refused(model):
    document = read_json(model / "dataset.json")
    write_json(model / "dataset.json", {**document, "channel_names": {"0": "CT", "1": "PET"}})
    with pytest.raises(UserInputError, match=r"plans\.json: is for 1 channels, but dataset\.json beside it names 2"):
        load_model(model)
    write_json(model / "dataset.json", {**document, "file_ending": ".jpg"})
    with pytest.raises(UserInputError, match=r'dataset\.json: "file_ending" \.jpg'):
        load_model(model)
    write_json(model / "dataset.json", {**document, "labels": {**document["labels"], "more": 3}})
    with pytest.raises(UserInputError, match="seg_layers"):
        load_model(model)


def test_a_network_larger_than_the_computer_is_refused_before_it_is_built(model):
    document = read_json(model / "plans.json")
    arguments = document["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["features_per_stage"] = [30_000, 60_000]
    write_json(model / "plans.json", document)
    with pytest.raises(UserInputError, match="GB"):
        load_model(model)


def test_a_patch_larger_than_the_computer_is_refused_before_it_is_segmented(model):
    document = read_json(model / "plans.json")
    document["configurations"]["3d_fullres"]["patch_size"] = [16_384] * 3
    write_json(model / "plans.json", document)
    with pytest.raises(UserInputError, match=r"plans\.json: 3d_fullres: one pass of the network needs about .* GB"):
        Segmenter(load_model(model), "cpu")
