"""The plan in words: what was decided and why, with the numbers, for a person who does not train networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .low_resolution import ENOUGH_SEEN, WORTHWHILE
from .machine import DATA_CENTRE_CARD, EPOCHS, STEPS, TWO_CORES, Machine, training_seconds
from .memory import training_memory_gb
from .normalization import SCHEMES
from .plan import Configuration, Plan
from .spacing import ANISOTROPY

if TYPE_CHECKING:
    from ..dataset.dataset import Dataset
    from ..fingerprint.fingerprint import Fingerprint

AXES = ("z", "y", "x")


def explain(
    plan: Plan,
    fingerprint: Fingerprint | None = None,
    dataset: Dataset | None = None,
    machine: Machine | None = None,
) -> tuple[str, ...]:
    """Sentences about a plan; those that need the dataset are left out for a plan that was read from a file."""
    single_slices = "3d_fullres" not in plan.configurations and plan.transpose_forward == (0, 1, 2)
    return (
        *([_dataset(plan, fingerprint, dataset)] if fingerprint and dataset else []),
        _voxel_size(plan, fingerprint),
        *([] if single_slices else [_axis_order(plan)]),
        *_channels(plan, dataset),
        *(
            sentence
            for configuration in plan.configurations.values()
            if configuration.previous_stage is None
            for sentence in (
                _patches(plan, configuration, fingerprint),
                _network(plan, configuration, dataset, machine),
            )
        ),
        _stages(plan),
        _advice(plan),
    )


def _dataset(plan: Plan, fingerprint: Fingerprint, dataset: Dataset) -> str:
    names = [name for name, _ in dataset.label_scheme.entries if name not in ("background", "ignore")]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    what = "region" if dataset.label_scheme.has_regions else "label"
    return (
        f"{plan.dataset_name}: {_count(len(fingerprint.spacings), 'training case')} with "
        f"{_count(len(dataset.channel_names), 'channel')} ({', '.join(dataset.channel_names)}) and "
        f"{_count(len(names), what)} ({shown})."
    )


def _voxel_size(plan: Plan, fingerprint: Fingerprint | None) -> str:
    full = _finest(plan)
    spacing, unit = _in_words(_as_stored(full.spacing, plan), plan)
    size = times(_as_stored(full.median_image_size, plan))
    return (
        f"Voxel size: every image is resampled to {spacing} {unit}, {_why_this_spacing(plan, full, fingerprint)}. "
        f"A median image then has {size} voxels."
    )


def _why_this_spacing(plan: Plan, full: Configuration, fingerprint: Fingerprint | None) -> str:
    median = plan.original_median_spacing[-len(full.spacing) :]
    if _close(full.spacing, median):
        same = fingerprint is not None and len(set(fingerprint.spacings)) == 1
        return "which all cases have" if same else "the median of the cases along each axis"
    if len(median) == 3 and _close(full.spacing[1:], median[1:]) and full.spacing[0] < median[0]:
        return (
            "the median of the cases within a slice; between slices the finer 10th percentile instead of the median "
            f"{median[0]:.3g}, so that cases with thin slices lose none of their few"
        )
    return f"as was asked for (the median of the cases is {_in_words(_as_stored(median, plan), plan)[0]})"


def _axis_order(plan: Plan) -> str:
    order = [AXES[axis] for axis in plan.transpose_forward]
    if order == list(AXES):
        return "Axis order: as stored, since no axis has larger voxels than the first, z."
    return (
        f"Axis order: {order[0]} has the largest voxels, so images are turned to the order {', '.join(order)} for the "
        "network; results are turned back."
    )


def _channels(plan: Plan, dataset: Dataset | None) -> list[str]:
    """A sentence for each way of normalising, with all the channels that share it."""
    full = _finest(plan)
    channels: dict[str, list[str]] = {}
    for index, (scheme, masked) in enumerate(zip(full.normalization_schemes, full.use_mask_for_norm, strict=True)):
        text = SCHEMES[scheme].in_words if scheme in SCHEMES else f"normalised by {scheme}"
        text = text.format(**vars(plan.foreground_intensities[index]))
        mask = ", over the non-zero part, because cropping removes much empty background" if masked else ""
        channels.setdefault(text + mask, []).append(dataset.channel_names[index] if dataset else str(index))
    return [
        f"Intensities of channel{'s' if len(names) > 1 else ''} {', '.join(names)}: {text}."
        for text, names in channels.items()
    ]


def _patches(plan: Plan, configuration: Configuration, fingerprint: Fingerprint | None) -> str:
    patch = configuration.patch_size
    what = "slices" if len(patch) == 2 else "patches"
    return (
        f"{configuration.name}: sees {what} of {times(patch)} voxels{_physical(configuration, plan)}, "
        f"{_seen_in_words(configuration)}, {configuration.batch_size} at a time{_epoch(configuration, fingerprint)}."
    )


def _network(plan: Plan, configuration: Configuration, dataset: Dataset | None, machine: Machine | None) -> str:
    features = configuration.architecture.features_per_stage
    memory = training_memory_gb(configuration, plan.planner, len(dataset.label_scheme.entries) if dataset else 2)
    gigabytes = f"{memory:.1f}" if memory < 10 else f"{memory:.0f}"
    return (
        f"{configuration.name}: the network is a {configuration.architecture.kind} U-Net of "
        f"{_count(len(features), 'resolution')} with {features[0]} to {features[-1]} features; training needs about "
        f"{gigabytes} GB of GPU memory. {EPOCHS} epochs of {STEPS} steps take about "
        f"{_duration(plan, configuration, machine)}."
    )


def _duration(plan: Plan, configuration: Configuration, machine: Machine | None) -> str:
    channels = len(plan.foreground_intensities)
    return " or ".join(
        f"{days_in_words(training_seconds(configuration, channels, one))} on {one.name}"
        for one in (DATA_CENTRE_CARD, machine or TWO_CORES)
    )


def _epoch(configuration: Configuration, fingerprint: Fingerprint | None) -> str:
    if fingerprint is None:
        return ""
    what = "slice" if len(configuration.patch_size) == 2 else "patch"
    taken = STEPS * configuration.batch_size / len(fingerprint.spacings)
    if taken < 1:
        return f"; an epoch takes a {what} of {_percent(taken)} of the cases"
    number = round(taken)
    many = what if number == 1 else {"slice": "slices", "patch": "patches"}[what]
    return f"; an epoch takes about {number} {many} of each case"


def _stages(plan: Plan) -> str:
    if "3d_fullres" not in plan.configurations:
        return "There are no 3-D configurations, because the images are single slices."
    full, low = plan.configurations["3d_fullres"], plan.configurations.get("3d_lowres")
    seen = f"{_percent(seen_part(full))} of a median image"
    if low:
        return (
            f"Low-resolution stage: a 3d_fullres patch sees only {seen}, less than {_percent(ENOUGH_SEEN)}. "
            f"3d_lowres works on voxels of {_in_words(low.spacing, plan)[0]} mm, of which a patch sees "
            f"{_percent(seen_part(low))}, and 3d_cascade_fullres then refines its result at full resolution."
        )
    if seen_part(full) >= ENOUGH_SEEN:
        return (
            f"There is no low-resolution stage, because a 3d_fullres patch sees {seen} "
            f"(one is added below {_percent(ENOUGH_SEEN)})."
        )
    return (
        f"There is no low-resolution stage: a 3d_fullres patch sees {seen}, but coarser images of which it would see "
        f"{_percent(ENOUGH_SEEN)} would not even be {WORTHWHILE} times smaller."
    )


def _advice(plan: Plan) -> str:
    if "3d_fullres" not in plan.configurations:
        return "Train 2d."
    if "3d_lowres" in plan.configurations:
        return "Train 3d_fullres first; try 3d_lowres and then the cascade where large structures are confused."
    spacing = plan.configurations["3d_fullres"].spacing
    if max(spacing) > ANISOTROPY * min(spacing):
        return "Train 3d_fullres first; with slices as thick as these, 2d may do as well, and both together better."
    return "Train 3d_fullres first; 2d is worth a try only where time is short."


def _finest(plan: Plan) -> Configuration:
    configurations = plan.configurations
    return configurations.get("3d_fullres") or configurations.get("2d") or next(iter(configurations.values()))


def seen_part(configuration: Configuration) -> float:
    """The part of a median image that one patch covers, 0 to 1."""
    pairs = zip(configuration.patch_size, configuration.median_image_size, strict=True)
    return math.prod(min(patch / edge, 1) if edge else 1 for patch, edge in pairs)


def _seen_in_words(configuration: Configuration) -> str:
    seen = seen_part(configuration)
    whole = "a whole median slice" if len(configuration.patch_size) == 2 else "a whole median image"
    if seen == 1:
        return whole
    return f"{_percent(seen)} of {whole[2:].replace('whole', 'a', 1)}"


def _physical(configuration: Configuration, plan: Plan) -> str:
    unit = _in_words(configuration.spacing, plan)[1]
    if unit != "mm":
        return ""
    sizes = [edge * step for edge, step in zip(configuration.patch_size, configuration.spacing, strict=True)]
    return f" ({times(sizes)} mm)"


def _as_stored(values: Sequence[float], plan: Plan) -> Sequence[float]:
    """Values for three axes in the images' own order, z, y, x, as readers know them."""
    return values if len(values) == 2 else [values[axis] for axis in plan.transpose_backward]


def _in_words(spacing: Sequence[float], plan: Plan) -> tuple[str, str]:
    """Numbers and unit; images without a physical size (999, 1, 1 in nnU-Net's files) count pixels."""
    if 999 in plan.original_median_spacing and all(step == 1 for step in spacing[-2:]):
        return times(spacing), "pixel"
    return times(spacing), "mm"


def times(numbers: Sequence[float]) -> str:
    """`1 × 0.77 × 0.77`: three digits, but never fewer than the whole ones."""
    return " × ".join(f"{number:.0f}" if number >= 100 else f"{number:.3g}" for number in numbers)


def days_in_words(seconds: float) -> str:
    """`3 h`, `12 days`: no more precise than the estimate."""
    if seconds < 3600:
        return f"{math.ceil(seconds / 60)} min"
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %" if part >= 0.01 else "less than 1 %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _close(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(first, second, strict=True))
