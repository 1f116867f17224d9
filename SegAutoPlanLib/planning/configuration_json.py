"""The `configurations` of plans.json, read and written: inheritance followed, old formats understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..schema import Mismatch, either, nothing, record
from .architecture_gate import require_computable
from .architecture_json import architecture_from_json, architecture_to_json
from .old_plans import architecture_from_old_json
from .plan import Configuration
from .plan_gate import CONFIGURATION, CONFIGURATION_NAME, is_old, require_same_dimensions
from .resampling import Resampler, Resampling

Entry = Mapping[str, Any]
"""What plans.json says of one configuration."""
ENTRY = record({}, {"inherits_from": either(nothing, CONFIGURATION_NAME)})
LONGEST_CIRCLE = 8


def configurations_from_json(entries: Mapping[str, Entry]) -> tuple[dict[str, Configuration], dict[str, str]]:
    """The configurations that can be used, and why the others cannot, both by name.

    One cannot be used if it inherits in a circle or from nothing, is incomplete, or asks for a network or an option
    that this program does not have.
    """
    configurations, unusable = {}, {}
    inherited: dict[str, dict[str, Any]] = {}
    for name in entries:
        try:
            configurations[name] = _configuration_from_json(name, _inherited(entries, name, inherited))
        except Mismatch as mismatch:
            unusable[name] = reason(mismatch)
    return configurations, unusable


def reason(mismatch: Mismatch) -> str:
    """Why a configuration cannot be used, to go on after `because`."""
    return f"its {mismatch.where} {mismatch.problem}" if mismatch.where else f"it {mismatch.problem}"


def configurations_to_json(
    configurations: Mapping[str, Configuration], stated: Mapping[str, Entry]
) -> dict[str, Entry]:
    """The entries of all configurations: as they are in `stated` where that still says the same, else written anew.

    `stated` may hold configurations that cannot be used; they stay as they are.
    """
    made = {name: _entry(one, configurations) for name, one in configurations.items() if name not in stated}
    entries = {**made, **stated}
    for _round in configurations:  # what changes an entry also changes those that inherit from it: they follow
        read, _unusable = configurations_from_json(entries)
        changed = {
            name: _restated(entries[name], read.get(name), configuration)
            for name, configuration in configurations.items()
            if read.get(name) != configuration
        }
        if not changed:
            break
        entries.update(changed)
    return entries


def _inherited(entries: Mapping[str, Entry], name: str, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The entry over what it inherits, over what that inherits, and so on; `known` grows by each of them."""
    chain: list[str] = []
    parent: Any = name
    while parent is not None and parent not in known:
        if parent in chain:
            circle = chain if len(chain) < LONGEST_CIRCLE else [*chain[:LONGEST_CIRCLE], "…"]
            raise Mismatch(f"inherits in a circle ({' from '.join((*circle, parent))})")
        if parent not in entries:
            raise Mismatch(f"inherits from {parent}, which the plan does not have")
        ENTRY(entries[parent])
        chain.append(parent)
        parent = entries[parent].get("inherits_from")
    merged = known.get(parent, {})
    for heir in reversed(chain):
        known[heir] = merged = {**merged, **entries[heir]}
    return merged


def _configuration_from_json(name: str, entry: Entry) -> Configuration:
    CONFIGURATION(entry)
    architecture = architecture_from_old_json(entry) if is_old(entry) else architecture_from_json(entry["architecture"])
    require_same_dimensions(entry, architecture.dimensions)
    require_computable(architecture, entry["patch_size"])
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
        resampling=Resampling(
            data=_resampler_from_json(entry, "resampling_fn_data"),
            seg=_resampler_from_json(entry, "resampling_fn_seg"),
            probabilities=_resampler_from_json(entry, "resampling_fn_probabilities"),
        ),
        architecture=architecture,
        batch_dice=entry["batch_dice"],
        preprocessor_name=entry.get("preprocessor_name", "DefaultPreprocessor"),
        previous_stage=entry.get("previous_stage"),
        next_stage=(following,) if isinstance(following, str) else tuple(following),
    )


def _resampler_from_json(entry: Entry, key: str) -> Resampler:
    return Resampler(entry[key], **entry[f"{key}_kwargs"])


def _entry(configuration: Configuration, others: Mapping[str, Configuration]) -> Entry:
    """As nnU-Net writes it; a stage that only adds another before it inherits all else."""
    entry = _complete_entry(configuration)
    for other in others.values():
        if configuration.previous_stage and not other.previous_stage:
            added = {key: value for key, value in entry.items() if key != "previous_stage"}
            if _complete_entry(other) == added:
                return {"inherits_from": other.name, "previous_stage": configuration.previous_stage}
    return entry


def _complete_entry(configuration: Configuration) -> dict[str, Any]:
    entry = {
        "data_identifier": configuration.data_identifier,
        "preprocessor_name": configuration.preprocessor_name,
        "batch_size": configuration.batch_size,
        "patch_size": list(configuration.patch_size),
        "median_image_size_in_voxels": list(configuration.median_image_size),
        "spacing": list(configuration.spacing),
        "normalization_schemes": list(configuration.normalization_schemes),
        "use_mask_for_norm": list(configuration.use_mask_for_norm),
        **resampling_to_json(configuration.resampling),
        "architecture": architecture_to_json(configuration.architecture),
        "batch_dice": configuration.batch_dice,
    }
    if configuration.next_stage:
        several = len(configuration.next_stage) > 1
        entry["next_stage"] = list(configuration.next_stage) if several else configuration.next_stage[0]
    if configuration.previous_stage:
        entry["previous_stage"] = configuration.previous_stage
    return entry


def resampling_to_json(resampling: Resampling) -> dict[str, Any]:
    """The six `resampling_fn_*` entries in nnU-Net's order."""
    return {
        "resampling_fn_data": resampling.data.function,
        "resampling_fn_seg": resampling.seg.function,
        "resampling_fn_data_kwargs": resampling.data.options,
        "resampling_fn_seg_kwargs": resampling.seg.options,
        "resampling_fn_probabilities": resampling.probabilities.function,
        "resampling_fn_probabilities_kwargs": resampling.probabilities.options,
    }


def _restated(entry: Entry, says: Configuration | None, shall_say: Configuration) -> Entry:
    """The entry with what it says otherwise corrected, or a whole one if it can no longer be read."""
    now = _complete_entry(shall_say)
    if says is None:
        return {**{key: value for key, value in entry.items() if key != "inherits_from"}, **now}
    before = _complete_entry(says)
    corrected = {key: now.get(key) for key in {**now, **before} if now.get(key) != before.get(key)}
    return {**entry, **corrected}
