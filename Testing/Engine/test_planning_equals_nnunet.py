"""Our plans against those that the real nnunetv2 2.8.1 made (Testing/Fixtures/README.md)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.fingerprint import Fingerprint, extract_fingerprint
from SegAutoPlanLib.planning import Plan, plan_experiments, plan_to_json

from ..Fixtures.planning_problems import KINDS, PROBLEM_COUNT, RANDOM_COUNT, PlanningProblem, planning_problem
from ..Fixtures.synthetic_datasets import write_synthetic_dataset
from .planning_fixtures import NNUNET_PLANNERS, dataset_of, read_recorded


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    return read_recorded("plans.json.xz")


def our_plan(problem: PlanningProblem, planner: str) -> Plan:
    return plan_experiments(
        Fingerprint.from_json(problem.fingerprint),
        dataset_of(problem.description),
        planner,
        problem.gpu_memory_gb,
        problem.target_spacing,
        problem.plans_name,
    )


def differences(ours: Any, theirs: Any, where: str = "", tolerance: float = 1e-9) -> list[str]:
    """Every place at which two JSON documents differ: keys, their order, types, numbers beyond the tolerance."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if list(ours) != list(theirs):
            return [f"{where}: keys {list(ours)} != {list(theirs)}"]
        return [line for key in theirs for line in differences(ours[key], theirs[key], f"{where}/{key}", tolerance)]
    if isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return [f"{where}: {ours} != {theirs}"]
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{where}/{index}", tolerance)]
    if isinstance(ours, float) and isinstance(theirs, float):
        return [] if math.isclose(ours, theirs, rel_tol=tolerance) else [f"{where}: {ours} != {theirs}"]
    return [] if type(ours) is type(theirs) and ours == theirs else [f"{where}: {ours!r} != {theirs!r}"]


def problems_of(kind: str) -> range:
    if kind == "named":
        return range(RANDOM_COUNT, PROBLEM_COUNT)
    return range(KINDS.index(kind), RANDOM_COUNT, len(KINDS))


@pytest.mark.parametrize("planner", NNUNET_PLANNERS)
@pytest.mark.parametrize("kind", [*KINDS, "named"])
def test_plans_equal_nnunets_in_every_field(recorded, kind, planner):
    compared = 0
    for index in problems_of(kind):
        theirs = recorded[index][NNUNET_PLANNERS[planner]]
        if "error" in theirs:
            continue
        problem = planning_problem(index)
        ours = json.loads(json.dumps(plan_to_json(our_plan(problem, planner))))
        intensities = ours.pop("foreground_intensity_properties_per_channel")
        assert intensities == problem.fingerprint["foreground_intensity_properties_per_channel"]
        assert differences(ours, theirs) == [], f"problem {index}"
        compared += 1
    assert compared >= 10


@pytest.mark.parametrize("planner", NNUNET_PLANNERS)
def test_where_nnunet_crashes_there_is_a_plan_that_says_so_or_a_sentence(recorded, planner):
    crashes = [index for index, entry in enumerate(recorded) if "error" in entry[NNUNET_PLANNERS[planner]]]
    plans = [plan for index in crashes if (plan := plan_or_sentence(planning_problem(index), planner))]
    assert plans
    for plan in plans:
        assert any("nnU-Net itself cannot plan" in warning for warning in plan.warnings)
        for configuration in plan.configurations.values():
            assert min(configuration.patch_size) >= 1
            assert min(configuration.median_image_size) >= 1
            assert configuration.batch_size >= 2


def plan_or_sentence(problem: PlanningProblem, planner: str) -> Plan | None:
    """None only where the target spacing that was asked for leaves no image."""
    if problem.target_spacing is None:
        return our_plan(problem, planner)
    try:
        return our_plan(problem, planner)
    except UserInputError as error:
        sentence = str(error)
    assert "less than one voxel thick; choose a finer target spacing" in sentence
    return None


def test_at_least_five_hundred_problems_were_planned_by_nnunet(recorded):
    planned = [all("error" not in plan for plan in entry.values()) for entry in recorded]
    assert len(recorded) == PROBLEM_COUNT
    assert sum(planned) >= 500


@pytest.mark.parametrize("file", ["real.json.xz", "synthetic.json.xz"])
@pytest.mark.parametrize("planner", NNUNET_PLANNERS)
def test_plans_of_real_and_synthetic_datasets_equal_nnunets(file, planner):
    datasets = read_recorded(file)
    assert len(datasets) >= 5
    for name, entry in datasets.items():
        theirs = entry["plans"][NNUNET_PLANNERS[planner]]
        dataset = dataset_of(entry["description"], name, theirs["image_reader_writer"])
        ours = plan_experiments(Fingerprint.from_json(entry["fingerprint"]), dataset, planner)
        assert differences(json.loads(json.dumps(plan_to_json(ours))), theirs) == [], name


@pytest.mark.parametrize("name", ["Dataset904_Transposed", "Dataset905_CTandPET", "Dataset908_ColourPNG"])
def test_files_to_fingerprint_to_plan_equals_nnunets_chain(tmp_path, name):
    entry = read_recorded("synthetic.json.xz")[name]
    dataset = load_dataset(write_synthetic_dataset(name, tmp_path))
    theirs = entry["plans"]["ExperimentPlanner"]
    ours = json.loads(json.dumps(plan_to_json(plan_experiments(extract_fingerprint(dataset, workers=1), dataset))))
    key = "foreground_intensity_properties_per_channel"
    assert differences(ours.pop(key), theirs.pop(key), tolerance=1e-6) == []
    assert differences(ours, theirs) == []
