"""The stamps of preprocessed cases: those that were made before are recognised, whatever the code looks like inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from SegAutoPlanLib.dataset import Case
from SegAutoPlanLib.planning import plan_experiments, plan_from_json, plan_to_json
from SegAutoPlanLib.preprocessing import stamp

from .planning_fixtures import fingerprint_like, liver

CASE = Case("liver_000", (Path("liver_000_0000.nii.gz"), Path("liver_000_0001.nii.gz")), Path("liver_000.nii.gz"))


def stamps(**resampling: object) -> dict[str, str]:
    """By configuration, of a CT and a masked MR channel, with other `resampling_fn_*` entries than the planner's."""
    dataset = liver(3, ("CT", "T1"))
    document = plan_to_json(plan_experiments(fingerprint_like(dataset, relative_size=0.5), dataset))
    for entry in document["configurations"].values():
        entry.update(resampling)
    plan = plan_from_json(document)
    return {name: stamp.stamp_of(CASE, dataset, plan, one)[:16] for name, one in plan.configurations.items()}


@pytest.fixture(autouse=True)
def first_format(monkeypatch):
    monkeypatch.setattr(stamp, "FORMAT", 1)


def test_stamps_are_those_of_the_first_release():
    assert stamps() == {
        "2d": "eb6cc3d7aab79c10",
        "3d_lowres": "656016ed512a497c",
        "3d_fullres": "67dfdae170cff6d5",
        "3d_cascade_fullres": "67dfdae170cff6d5",
    }


def test_stamps_of_the_other_resampling_functions_are_too():
    torch = {"force_separate_z": False, "memefficient_seg_resampling": False}
    linear = stamps(
        resampling_fn_data="resample_torch_fornnunet",
        resampling_fn_seg="resample_torch_fornnunet",
        resampling_fn_data_kwargs={"is_seg": False, **torch},
        resampling_fn_seg_kwargs={"is_seg": True, **torch},
    )
    assert linear["2d"] == "e5e98dfee9f0f04b"
    none = stamps(
        resampling_fn_data="no_resampling_hack",
        resampling_fn_seg="no_resampling_hack",
        resampling_fn_data_kwargs={},
        resampling_fn_seg_kwargs={},
    )
    assert none["3d_lowres"] == "e5de0f1dc6bff824"


def test_how_probabilities_are_brought_back_does_not_touch_preprocessed_cases():
    assert stamps(resampling_fn_probabilities_kwargs={"is_seg": False, "order": 0}) == stamps()
