"""The plan of a trained model for another dataset, so that its network fits there: nnU-Net's move_plans, by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from ..fingerprint.fingerprint import Intensities
from ..matching import pair_channels
from .normalization import SCHEMES, normalization_schemes
from .plan import Configuration, Plan

Value = TypeVar("Value")


def adopted_name(plan: Plan) -> str:
    """A name for a model's plan in another dataset that no planner gives."""
    return f"{plan.plans_name}_of_{plan.dataset_name}"


def has_new_channels(known: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a dataset has channels that the model does not know (names of each; see `pair_channels`)."""
    return None in pair_channels(wanted, known)


def adopt_plan(
    plan: Plan,
    known: Sequence[str],
    wanted: Sequence[str],
    intensities: Sequence[Intensities],
    dataset_name: str,
    image_io: str,
    plans_name: str,
) -> Plan:
    """The plan with spacing, patches, networks and intensities of the model, by another name for another dataset.

    Args:
        plan: the model's.
        known: its channels, by name.
        wanted: the dataset's channels, by name; one that the model does not know is normalised by its own name's
            scheme and its own intensities.
        intensities: of the dataset's foreground, one per wanted channel; of new channels alone they are read.
        image_io: the reader of the dataset's files.
    """
    places = pair_channels(wanted, known)
    own = normalization_schemes(wanted)
    statistics = dict(enumerate(intensities))
    return replace(
        plan,
        dataset_name=dataset_name,
        plans_name=plans_name,
        image_io=image_io,
        foreground_intensities=tuple(
            statistics[channel] if place is None else plan.foreground_intensities[place]
            for channel, place in enumerate(places)
        ),
        configurations={
            name: _adopted(configuration, plan.plans_name, plans_name, places, own)
            for name, configuration in plan.configurations.items()
        },
        unusable={},
    )


def _adopted(
    configuration: Configuration, before: str, after: str, places: Sequence[int | None], own: Sequence[str]
) -> Configuration:
    identifier = configuration.data_identifier
    schemes, masks = configuration.normalization_schemes, configuration.use_mask_for_norm
    return replace(
        configuration,
        data_identifier=f"{after}{identifier.removeprefix(before)}"
        if identifier.startswith(before)
        else f"{after}_{identifier}",
        normalization_schemes=_by_place(schemes, places, own),
        use_mask_for_norm=_by_place(
            masks, places, [any(masks) and SCHEMES[scheme].can_leave_background_out for scheme in own]
        ),
    )


def _by_place(values: Sequence[Value], places: Sequence[int | None], new: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(new[channel] if place is None else values[place] for channel, place in enumerate(places))
