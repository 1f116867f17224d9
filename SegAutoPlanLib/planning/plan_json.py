"""plans.json read into a `Plan`: inheritance followed, old formats understood, nothing imported by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..files import read_json, write_json
from .architecture_json import architecture_from_json
from .explanation import explain
from .old_plans import modern_configuration
from .plan import Configuration, Plan

RESAMPLING_KEYS = (
    "resampling_fn_data",
    "resampling_fn_seg",
    "resampling_fn_data_kwargs",
    "resampling_fn_seg_kwargs",
    "resampling_fn_probabilities",
    "resampling_fn_probabilities_kwargs",
)


def read_plan(path: Path | str) -> Plan:
    """Read a plans.json, ours or nnU-Net's of any version.

    Raises:
        UserInputError: the file is missing, is not JSON or is not a plan.
    """
    plan = plan_from_json(read_json(path), str(path))
    return plan.with_words(explain(plan), plan.warnings)


def write_plan(plan: Plan, path: Path | str) -> None:
    """Write plans.json as nnU-Net does; a kill leaves the previous file."""
    write_json(path, plan.to_json())


def plan_from_json(document: Mapping[str, Any], source: str = "plans.json") -> Plan:
    """A plan from the content of plans.json.

    A configuration that cannot be used (it inherits in a circle or from nothing, lacks an entry, or has a
    network of another kind) is left out, and a warning says why; the others stay usable.

    Raises:
        UserInputError: this is not a plan, or no configuration of it can be used.
    """
    try:
        configurations, problems = _read_configurations(document["configurations"])
        plan = Plan(
            dataset_name=document["dataset_name"],
            plans_name=document["plans_name"],
            original_median_spacing=tuple(document["original_median_spacing_after_transp"]),
            original_median_shape=tuple(document["original_median_shape_after_transp"]),
            image_io=document["image_reader_writer"],
            transpose_forward=tuple(document["transpose_forward"]),
            transpose_backward=tuple(document["transpose_backward"]),
            configurations=configurations,
            foreground_intensities=_intensities(document),
            planner=document.get("experiment_planner_used", "ExperimentPlanner"),
            document=dict(document),
            warnings=tuple(problems),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserInputError(
            f"{source}: is not an nnU-Net plan ({type(error).__name__}: {error}); plan the dataset again."
        ) from error
    if not configurations:
        reasons = " ".join(problems)
        raise UserInputError(f"{source}: has no configuration for this program; plan again. {reasons}")
    return plan


def _read_configurations(entries: Mapping[str, Any]) -> tuple[dict[str, Configuration], list[str]]:
    configurations, problems = {}, []
    for name in entries:
        try:
            entry = modern_configuration(_inherited(entries, name))
            configurations[name] = _read_configuration(name, entry)
        except UserInputError as error:
            problems.append(f"{name}: cannot be used, because {error}.")
        except KeyError as error:
            problems.append(f"{name}: cannot be used, because it lacks {error}.")
    return configurations, problems


def _inherited(entries: Mapping[str, Any], name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The entry over what it inherits, over what that inherits, and so on."""
    if name in seen:
        raise UserInputError(f"it inherits in a circle ({' from '.join((*seen, name))})")
    if name not in entries:
        raise UserInputError(f"it inherits from {name}, which the plan does not have")
    entry = entries[name]
    parent = entry.get("inherits_from")
    if parent is None:
        return dict(entry)
    return {**_inherited(entries, parent, (*seen, name)), **entry}


def _read_configuration(name: str, entry: Mapping[str, Any]) -> Configuration:
    following = entry.get("next_stage") or ()
    return Configuration(
        name=name,
        data_identifier=entry["data_identifier"],
        batch_size=entry["batch_size"],
        patch_size=tuple(entry["patch_size"]),
        median_image_size=tuple(entry["median_image_size_in_voxels"]),
        spacing=tuple(entry["spacing"]),
        normalization_schemes=tuple(entry["normalization_schemes"]),
        use_mask_for_norm=tuple(entry["use_mask_for_norm"]),
        resampling={key: entry[key] for key in RESAMPLING_KEYS},
        architecture=architecture_from_json(entry["architecture"]),
        batch_dice=entry["batch_dice"],
        preprocessor_name=entry.get("preprocessor_name", "DefaultPreprocessor"),
        previous_stage=entry.get("previous_stage"),
        next_stage=(following,) if isinstance(following, str) else tuple(following),
    )


def _intensities(document: Mapping[str, Any]) -> tuple[dict[str, float], ...]:
    """One dict a channel; plans before 2.0's release called the channels modalities."""
    key = "foreground_intensity_properties_per_channel"
    channels = document.get(key) or document["foreground_intensity_properties_by_modality"]
    return tuple(channels[str(channel)] for channel in range(len(channels)))
