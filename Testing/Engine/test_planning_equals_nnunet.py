"""Our plans against those that the real nnunetv2 2.8.1 made (Testing/Fixtures/README.md)."""

from __future__ import annotations

import json
import lzma
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from SegAutoPlanLib.dataset.dataset import Dataset
from SegAutoPlanLib.dataset.labels import LabelScheme
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.fingerprint.fingerprint import Fingerprint
from SegAutoPlanLib.planning import plan_experiments

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures"
sys.path.insert(0, str(FIXTURES))

from planning_problems import KINDS, PROBLEM_COUNT, PlanningProblem, planning_problem  # noqa: E402

PLANNERS = {
    "plain": "ExperimentPlanner",
    "resenc-m": "nnUNetPlannerResEncM",
    "resenc-l": "nnUNetPlannerResEncL",
    "resenc-xl": "nnUNetPlannerResEncXL",
}


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    return json.loads(lzma.decompress((FIXTURES / "plans.json.xz").read_bytes()))


def our_plan(problem: PlanningProblem, planner: str):
    description = problem.description
    dataset = Dataset(
        folder=Path(),
        name="Dataset001_Random",
        channel_names=tuple(description["channel_names"].values()),
        labels=LabelScheme.from_description(description),
        file_ending=".nii.gz",
        image_io="SimpleITKIO",
        num_training=description["numTraining"],
        cases=(),
        description=description,
    )
    return plan_experiments(
        Fingerprint.from_json(problem.fingerprint),
        dataset,
        planner,
        problem.gpu_memory_gb,
        problem.target_spacing,
        problem.plans_name,
    )


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Every place at which two JSON documents differ: keys, their order, types, numbers beyond 1e-9."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if list(ours) != list(theirs):
            return [f"{where}: keys {list(ours)} != {list(theirs)}"]
        return [line for key in theirs for line in differences(ours[key], theirs[key], f"{where}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return [f"{where}: {ours} != {theirs}"]
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{where}/{index}")]
    if isinstance(ours, float) and isinstance(theirs, float):
        return [] if math.isclose(ours, theirs, rel_tol=1e-9) else [f"{where}: {ours} != {theirs}"]
    return [] if type(ours) is type(theirs) and ours == theirs else [f"{where}: {ours!r} != {theirs!r}"]


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("kind", KINDS)
def test_plans_equal_nnunets_in_every_field(recorded, kind, planner):
    compared = 0
    for index in range(KINDS.index(kind), PROBLEM_COUNT, len(KINDS)):
        theirs = recorded[index][PLANNERS[planner]]
        if "error" in theirs:
            continue
        problem = planning_problem(index)
        ours = json.loads(json.dumps(our_plan(problem, planner).to_json()))
        intensities = ours.pop("foreground_intensity_properties_per_channel")
        assert intensities == problem.fingerprint["foreground_intensity_properties_per_channel"]
        assert differences(ours, theirs) == [], f"problem {index}"
        compared += 1
    assert compared >= 10


@pytest.mark.parametrize("planner", PLANNERS)
def test_where_nnunet_crashes_there_is_a_plan_or_a_sentence(recorded, planner):
    crashes = [index for index, entry in enumerate(recorded) if "error" in entry[PLANNERS[planner]]]
    assert crashes
    for index in crashes:
        try:
            plan = our_plan(planning_problem(index), planner)
        except UserInputError as error:
            assert str(error).endswith(".")
            continue
        for configuration in plan.configurations.values():
            assert min(configuration.patch_size) >= 1
            assert configuration.batch_size >= 2
        assert plan.warnings


def test_at_least_five_hundred_problems_were_planned_by_nnunet(recorded):
    planned = [all("error" not in plan for plan in entry.values()) for entry in recorded]
    assert len(recorded) == PROBLEM_COUNT
    assert sum(planned) >= 500
