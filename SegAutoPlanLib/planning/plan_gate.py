"""What plans.json may say: a rule for every entry that is read, of nnU-Net's plans of any version.

| entry | |
|---|---|
| dataset_name, experiment_planner_used | obeyed: a line of text, for words only |
| plans_name | obeyed: a name of a file, and not one that stands beside plans |
| original_median_spacing_after_transp, original_median_shape_after_transp | obeyed: sane numbers |
| image_reader_writer | obeyed: a reader that is there |
| transpose_forward, transpose_backward | obeyed: orders of three axes, each the way back of the other |
| label_manager | `LabelManager`, else refused |
| foreground_intensity_properties_per_channel (…_by_modality) | obeyed: see `channel` and `require_intensities_for` |
| configurations | obeyed: one that does not pass cannot be used, and says why |
| data_identifier | obeyed: a name of a folder, and not one that stands beside those of cases |
| preprocessor_name | `DefaultPreprocessor`, else refused |
| batch_size, patch_size, spacing, normalization_schemes, use_mask_for_norm, batch_dice | obeyed |
| median_image_size_in_voxels | obeyed, for words only |
| resampling_fn_… and their options | obeyed; of probabilities the orders 0 and 1, else refused |
| architecture, or the numbers that stood for it up to 2.3 | see `architecture_gate` |
| inherits_from | obeyed: a configuration of the plan, not in a circle |
| previous_stage | obeyed: not in a circle |
| next_stage | kept, without meaning here |
| anything else | kept and never read |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ..fingerprint.fingerprint import INTENSITIES, INTENSITY_RULE, ROUNDING, Intensities, numbered
from ..names import file_name
from ..schema import (
    Mismatch,
    Rule,
    anything,
    array_of,
    either,
    every,
    flag,
    mapping_of,
    nothing,
    number,
    number_or_nan,
    one_of,
    record,
    shown,
    text,
    whole,
)
from .architecture_gate import architecture_entry, old_architecture_entry
from .normalization import SCHEMES, depends_on_dataset
from .resampling import OPTIONS

INTENSITIES_FORMERLY = "foreground_intensity_properties_by_modality"
"""Before the release of 2.0 channels were called modalities."""
IMAGE_READERS = (
    "NaturalImage2DIO",
    "SimpleITKIO",
    "SimpleITKIOWithReorient",
    "Tiff3DIO",
    "NibabelIO",
    "NibabelIOWithReorient",
)
"""Those of `images`, which is not imported for their names: it brings image libraries along."""
NOT_PLANS = ("dataset", "dataset_fingerprint", "splits_final")
"""Other files that stand beside plans, without their ending `.json`."""
GROUND_TRUTH_FOLDER = "gt_segmentations"
NOT_FOLDERS = (GROUND_TRUTH_FOLDER, *NOT_PLANS)
"""What else stands beside the folders of preprocessed cases; locks begin with a dot."""
MOST_CONFIGURATIONS = 1000
MOST_CHANNELS = 10_000
LARGEST_FLOAT32 = 3e38
SMALLEST_DEVIATION = 1e-8
"""What a smaller one would be replaced by."""

LINE = text(r"[^\x00-\x1f\x7f]*", "text of one line", longest=500)
MILLIMETRES = number(1e-9, 1e6)
VOXELS = number(0, 1e9)
LONGEST_EDGE = 1_000_000


def plan_name(value: Any) -> None:
    """A rule: the name of plans, which their file has too."""
    file_name(value)
    if value.casefold() in NOT_PLANS:
        raise Mismatch(f"must not be {value}, since {value}.json is another file than a plan")


def folder_of_cases(value: Any) -> None:
    """A rule: the name of a folder of preprocessed cases."""
    file_name(value)
    if value.startswith(".") or value.casefold().endswith(".json") or value.casefold() in NOT_FOLDERS:
        raise Mismatch(f"must not be {value}, which stands for something else than preprocessed cases")


def axis_order(value: Any) -> None:
    """A rule: the three axes in some order."""
    array_of(whole(0, 2), length=3)(value)
    if len(set(value)) != 3:
        raise Mismatch(f"must name each of the axes 0, 1 and 2 once, not {shown(value)}")


def orders_are_inverse(header: Mapping[str, Any]) -> None:
    """A rule: turning the axes back undoes turning them."""
    forward, backward = header["transpose_forward"], header["transpose_backward"]
    if [forward[axis] for axis in backward] != [0, 1, 2]:
        raise Mismatch(f"must be the way back from {shown(forward)}, not {shown(backward)}", '"transpose_backward"')


def has_intensities(header: Mapping[str, Any]) -> None:
    """A rule: they are there, under their present name or the former one."""
    if INTENSITIES not in header and INTENSITIES_FORMERLY not in header:
        raise Mismatch(f'lacks "{INTENSITIES}"')


def channel(value: Any) -> None:
    """A rule: possible statistics of a channel, or NaN alone, which nnU-Net writes where it sampled nothing."""
    record({field.name: number_or_nan for field in fields(Intensities)})(value)
    if all(value[field.name] != value[field.name] for field in fields(Intensities)):
        return
    INTENSITY_RULE(value)
    largest = max(abs(value["min"]), abs(value["max"]))
    if value["std"] > value["max"] - value["min"] + ROUNDING * largest:
        raise Mismatch(f"must not exceed the distance of the extremes, but is {value['std']:g}", '"std"')


CHANNELS = every(mapping_of(channel, text(), shortest=1, longest=MOST_CHANNELS), numbered)

PLAN = every(
    record(
        {
            "dataset_name": LINE,
            "plans_name": plan_name,
            "original_median_spacing_after_transp": array_of(MILLIMETRES, length=3),
            "original_median_shape_after_transp": array_of(VOXELS, length=3),
            "image_reader_writer": one_of(*IMAGE_READERS),
            "transpose_forward": axis_order,
            "transpose_backward": axis_order,
            "configurations": mapping_of(anything, text(), longest=MOST_CONFIGURATIONS),
        },
        {
            INTENSITIES: CHANNELS,
            INTENSITIES_FORMERLY: CHANNELS,
            "label_manager": one_of("LabelManager"),
            "experiment_planner_used": LINE,
        },
    ),
    orders_are_inverse,
    has_intensities,
)
"""A whole plan, but for what is in its configurations."""

RESAMPLING_OPTIONS: dict[str, Rule] = {
    "is_seg": flag,
    "order": whole(0, 5),
    "order_z": whole(0, 5),
    "force_separate_z": either(nothing, flag),
    "memefficient_seg_resampling": flag,
}
OPTIONS_OF: dict[str, dict[str, Rule]] = {
    "data": {"is_seg": one_of(False)},
    "seg": {"is_seg": one_of(True)},
    "probabilities": {"is_seg": one_of(False), "order": one_of(0, 1), "order_z": one_of(0, 1)},
}
"""What is narrower for each kind of volume."""
UNMOVED = "no_resampling_hack"
NEEDED = {"data": (), "seg": ("is_seg",), "probabilities": ("order",)}


def resampling(entry: Mapping[str, Any]) -> None:
    """A rule: the functions are known, with the options that they have, and fit what they resample."""
    for kind in OPTIONS_OF:
        function = f"resampling_fn_{kind}"
        record({function: one_of(*OPTIONS), f"{function}_kwargs": anything})(entry)
        options = {name: RESAMPLING_OPTIONS[name] for name in OPTIONS[entry[function]]}
        options |= {name: rule for name, rule in OPTIONS_OF[kind].items() if name in options}
        # Where it is absent, nnU-Net takes no label map, and another order than the linear one.
        required = {name: options.pop(name) for name in NEEDED[kind] if name in options}
        record({f"{function}_kwargs": record(required, options, others=())})(entry)
    data, seg, probabilities = (entry[f"resampling_fn_{kind}"] == UNMOVED for kind in OPTIONS_OF)
    if data != seg or (probabilities and not data):
        raise Mismatch(f'must leave images and labels on the same grid ("{UNMOVED}" for both)', '"resampling_fn_…"')


CONFIGURATION_NAME = text(r"[^\x00-\x1f\x7f]+", "the name of a configuration", longest=200)
AXES = {"shortest": 2, "longest": 3}
PER_AXIS = ("patch_size", "median_image_size_in_voxels", "spacing")

SETTINGS = record(
    {
        "data_identifier": folder_of_cases,
        "batch_size": whole(1, 10**9),
        "patch_size": array_of(whole(1, LONGEST_EDGE), **AXES),
        "median_image_size_in_voxels": array_of(VOXELS, **AXES),
        "spacing": array_of(MILLIMETRES, **AXES),
        "normalization_schemes": array_of(one_of(*SCHEMES), shortest=1, longest=MOST_CHANNELS),
        "use_mask_for_norm": array_of(flag, longest=MOST_CHANNELS),
        "batch_dice": flag,
    },
    {
        "preprocessor_name": one_of("DefaultPreprocessor"),
        "previous_stage": either(nothing, CONFIGURATION_NAME),
        "next_stage": either(nothing, CONFIGURATION_NAME, array_of(CONFIGURATION_NAME, longest=MOST_CONFIGURATIONS)),
    },
)


def is_old(entry: Mapping[str, Any]) -> bool:
    """Whether a configuration describes its network in the old way only."""
    return "UNet_class_name" in entry and "architecture" not in entry


def network(entry: Mapping[str, Any]) -> None:
    """A rule: the network, as it is described now or up to 2.3."""
    if is_old(entry):
        old_architecture_entry(entry)
    else:
        record({"architecture": architecture_entry})(entry)


EXISTING = record({"configurations": mapping_of(record({}), text(), longest=MOST_CONFIGURATIONS)})
"""What is read of a plan whose user-added configurations are to be kept."""
CONFIGURATION = every(network, SETTINGS, resampling)
"""A configuration with what it inherits."""


def require_same_dimensions(entry: Mapping[str, Any], dimensions: int) -> None:
    """Everything that is said of each axis is said of as many axes as the network has.

    Raises:
        Mismatch: it is not.
    """
    record(dict.fromkeys(PER_AXIS, array_of(anything, length=dimensions)))(entry)
    if len(entry["normalization_schemes"]) != len(entry["use_mask_for_norm"]):
        raise Mismatch('must have as many entries as "normalization_schemes"', '"use_mask_for_norm"')


FINITE = number(-LARGEST_FLOAT32, LARGEST_FLOAT32)
USED = record({**{field.name: FINITE for field in fields(Intensities)}, "std": number(above=SMALLEST_DEVIATION)})
"""What is said of a channel whose normalisation uses it."""


def require_intensities_for(schemes: Sequence[str], channels: Sequence[Intensities]) -> None:
    """A plan knows each channel, and what of its intensities the normalisation uses.

    Raises:
        Mismatch: it does not.
    """
    if len(schemes) != len(channels):
        raise Mismatch(f"is for {len(schemes)} channels, but the plan for {len(channels)}", '"normalization_schemes"')
    for index, (scheme, known) in enumerate(zip(schemes, channels, strict=True)):
        if depends_on_dataset(scheme):
            try:
                record({INTENSITIES: record({str(index): USED})})({INTENSITIES: {str(index): vars(known)}})
            except Mismatch as mismatch:
                raise Mismatch(f"{mismatch.problem}, since {scheme} uses it", mismatch.where) from None
