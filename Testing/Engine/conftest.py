"""A small trained model for every test that asks for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.networks import (
    write_checkpoint,
)
from SegAutoPlanLib.planning import plan_experiments, write_plan
from SegAutoPlanLib.workspace import Workspace

from .cascades import train_both_stages
from .checkpoint_models import (
    FEATURES,
    checkpoint_of,
    sound_content,
)
from .planning_fixtures import fingerprint_like, liver


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_user(tmp_path_factory):
    """What is measured while the tests run is nothing for the user's own programs."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("SegAutoPlanLib.workspace.cache_folder", lambda: folder)
        yield


@pytest.fixture(scope="session")
def both_stages(tmp_path_factory) -> Workspace:
    """A cascade whose first stage is trained in every fold, the second in one. Not to be changed."""
    return train_both_stages(tmp_path_factory.mktemp("cascade ü"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A model folder with a small network, as a training leaves it."""
    folder = tmp_path_factory.mktemp("models") / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    dataset = liver()
    write_plan(plan_experiments(fingerprint_like(dataset), dataset), folder / "plans.json")
    document = read_json(folder / "plans.json")
    for entry, dimensions in (("2d", 2), ("3d_fullres", 3)):
        document["configurations"][entry]["patch_size"] = [16] * dimensions
        document["configurations"][entry]["architecture"]["arch_kwargs"].update(
            n_stages=2,
            features_per_stage=FEATURES,
            kernel_sizes=[[3] * dimensions] * 2,
            strides=[[1] * dimensions, [2] * dimensions],
            n_conv_per_stage=[2, 2],
            n_conv_per_stage_decoder=[2],
        )
    write_json(folder / "plans.json", document)
    write_json(folder / "dataset.json", dataset.dataset_json.document)
    for fold in (0, 1):
        write_checkpoint(checkpoint_of(folder, fold), sound_content(folder))
    return folder


@pytest.fixture
def model(sound, tmp_path) -> Path:
    """A copy of the model that a test may spoil."""
    import shutil

    return Path(shutil.copytree(sound, tmp_path / sound.name))
