"""plans.json written from a `Plan` and read into one, of any version of nnU-Net; nothing is imported by name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import FileError, UserInputError
from ..files import read_json, write_json
from ..fingerprint.fingerprint import INTENSITIES, intensities_from_json, intensities_to_json
from ..names import problem_of_name
from ..schema import Mismatch, problem_of
from .configuration_json import configurations_from_json, configurations_to_json, reason
from .explanation import explain
from .plan import Configuration, Plan, Source
from .plan_gate import INTENSITIES_FORMERLY, PLAN, plan_name, require_intensities_for

MAX_PLAN_BYTES = 32 << 20
"""Of thousands of channels; plans usually have 20 kB."""
SHOWN_REASONS = 10


def read_plan(path: Path | str) -> Plan:
    """The plan in a plans.json, ours or nnU-Net's of any version, with its explanation.

    Raises:
        UserInputError: the file is missing, is not JSON or is not a plan.
    """
    plan = plan_from_json(read_json(path, MAX_PLAN_BYTES), str(path))
    return replace(plan, explanation=explain(plan))


def plan_path(folder: Path, plans_name: str) -> Path:
    """Where the plan of that name stands, beside the preprocessed cases of a dataset.

    Raises:
        UserInputError: the name leads out of the folder, or to another file than a plan.
    """
    problem = problem_of(plan_name, plans_name)
    if problem is not None:
        raise UserInputError(f"The name of the plans {problem}; choose another name.")
    return folder / f"{plans_name}.json"


def write_plan(plan: Plan, path: Path | str) -> None:
    """Write plans.json as nnU-Net does; a kill leaves the previous file."""
    write_json(path, plan_to_json(plan))


def plan_from_json(document: Mapping[str, Any], source: str = "plans.json") -> Plan:
    """The plan that the content of plans.json is; `source` is what error messages call it.

    Raises:
        UserInputError: this is not a plan, or no configuration of it can be used.
    """
    problem = problem_of(PLAN, document)
    if problem is not None:
        raise FileError(source, f"is not an nnU-Net plan ({problem})", "plan the dataset again")
    entries = document["configurations"]
    header = {**document, "configurations": {}}
    configurations, unusable = configurations_from_json(entries)
    plan = _with_fitting_only(
        replace(
            _header_from_json(header),
            configurations=configurations,
            unusable=unusable,
            source=copy.deepcopy(Source(header, dict(entries), source)),
        )
    )
    if not plan.configurations:
        reasons = " ".join(plan.warnings[:SHOWN_REASONS])
        raise UserInputError(f"{source}: has no configuration for this program; plan again. {reasons}")
    return plan


def _with_fitting_only(plan: Plan) -> Plan:
    """Without the configurations that do not fit the rest of the plan, of which they become unusable ones."""
    unfit = {}
    for name, configuration in plan.configurations.items():
        try:
            _require_fitting(plan, configuration)
        except Mismatch as mismatch:
            unfit[name] = reason(mismatch)
    fitting = {name: one for name, one in plan.configurations.items() if name not in unfit}
    return replace(plan, configurations=fitting, unusable={**plan.unusable, **unfit})


def _require_fitting(plan: Plan, configuration: Configuration) -> None:
    problem = problem_of_name(configuration.name)
    if problem is not None:
        raise Mismatch(problem, "name")
    require_intensities_for(configuration.normalization_schemes, plan.foreground_intensities)
    before, passed = configuration.previous_stage, {configuration.name}
    while before is not None:
        if before in passed:
            raise Mismatch("leads in a circle", '"previous_stage"')
        passed.add(before)
        # A model's plan may have lost its first stage, whose results are then given as files.
        before = plan.configurations[before].previous_stage if before in plan.configurations else None


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """plans.json: entries, their order and types as nnU-Net writes them.

    A plan that was read comes back as it was in the file, but for what was changed since, see `Source`.
    """
    here = {**plan.configurations, **plan.unusable}
    stated = {name: entry for name, entry in plan.source.configurations.items() if name in here}
    configurations = configurations_to_json(plan.configurations, stated)
    document = _header_to_json(plan)
    if plan.source.header:
        as_read = _header_to_json(_header_from_json(plan.source.header))
        changed = {key: value for key, value in document.items() if value != as_read[key]}
        document = {**plan.source.header, **changed}
    return copy.deepcopy({**document, "configurations": configurations})


def with_users_configurations(plan: Plan, entries: Mapping[str, Mapping[str, Any]]) -> Plan:
    """The plan with configurations that a user wrote, which may inherit from its own."""
    own = plan_to_json(plan)["configurations"]
    configurations, unusable = configurations_from_json({**own, **entries})
    added = {name: configuration for name, configuration in configurations.items() if name in entries}
    return _with_fitting_only(
        replace(
            plan,
            configurations={**plan.configurations, **added},
            unusable=unusable,
            source=Source(configurations=copy.deepcopy(dict(entries))),
        )
    )


def _header_from_json(header: Mapping[str, Any]) -> Plan:
    """A plan without configurations."""
    return Plan(
        dataset_name=header["dataset_name"],
        plans_name=header["plans_name"],
        original_median_spacing=tuple(header["original_median_spacing_after_transp"]),
        original_median_shape=tuple(header["original_median_shape_after_transp"]),
        image_io=header["image_reader_writer"],
        transpose_forward=tuple(header["transpose_forward"]),
        transpose_backward=tuple(header["transpose_backward"]),
        foreground_intensities=intensities_from_json(header.get(INTENSITIES) or header[INTENSITIES_FORMERLY]),
        planner=header.get("experiment_planner_used", "ExperimentPlanner"),
        configurations={},
    )


def _header_to_json(plan: Plan) -> dict[str, Any]:
    """All of plans.json, with an empty place for the configurations."""
    intensities = intensities_to_json(plan.foreground_intensities)
    return {
        "dataset_name": plan.dataset_name,
        "plans_name": plan.plans_name,
        "original_median_spacing_after_transp": list(plan.original_median_spacing),
        "original_median_shape_after_transp": list(plan.original_median_shape),
        "image_reader_writer": plan.image_io,
        "transpose_forward": list(plan.transpose_forward),
        "transpose_backward": list(plan.transpose_backward),
        "configurations": {},
        "experiment_planner_used": plan.planner,
        "label_manager": "LabelManager",
        # nnU-Net takes them from a file with sorted keys: "10" stands before "2".
        INTENSITIES: {channel: intensities[channel] for channel in sorted(intensities)},
    }
