"""Weights of another training as the start of one: refused where almost nothing of them fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import FileError
from ..labels import LabelScheme
from ..models.pretrained import PretrainedModel
from ..schema import Rule, shown
from .checkpoint import read_checkpoint
from .checkpoint_gate import WEIGHTS
from .transfer import Transfer, ends_of, inputs_of, listed, plan_transfer, transfer
from .weights import (
    CHOOSE_ANOTHER,
    Shaped,
    aliases_of,
    own_weights,
    require_finite_tensors,
    shapes_of,
    without_aliases,
    without_prefixes,
)

LEAST_SHARE = 0.5
"""Of the network's parameters; with fewer the name of fine-tuning would promise too much."""
TRY_ITS_PLAN = "take the plan of that model (plan --from-model FOLDER), or train without --pretrained"


def plan_start(
    model: PretrainedModel, shapes: Mapping[str, tuple[int, ...]], channel_names: Sequence[str], scheme: LabelScheme
) -> Transfer:
    """What a network will take from a model.

    Args:
        shapes: of the network's tensors, by our names.
        channel_names: of the images that it will see.
        scheme: the labels that it will learn.

    Raises:
        FileError: so little of it fits that this would be no fine-tuning.
    """
    source = ends_of(model.channel_names, model.label_scheme, inputs_of(model.shapes))
    plan = plan_transfer(model.shapes, source, shapes, ends_of(channel_names, scheme, inputs_of(shapes)))
    if plan.share < LEAST_SHARE:
        raise FileError(
            model.checkpoint,
            f"only {100 * plan.share:.0f} % of its weights fit the network of the plan; "
            f"first that do not: {listed(plan.left[:3])}",
            TRY_ITS_PLAN,
        )
    return plan


def load_pretrained(
    network: nn.Module, model: PretrainedModel, channel_names: Sequence[str], scheme: LabelScheme
) -> Transfer:
    """Start a network from a model's weights; what does not fit stays as it was initialised. See `plan_start`.

    Returns:
        What was taken.

    Raises:
        UserInputError: almost nothing fits, or the file cannot be read or holds numbers that are not finite.
    """
    plan = plan_start(model, shapes_of(network), channel_names, scheme)
    content = read_checkpoint(model.checkpoint, _is_still(model))
    weights = own_weights(content["network_weights"], model.checkpoint)
    require_finite_tensors({taken.source: weights[taken.source] for taken in plan.taken.values()}, model.checkpoint)
    transfer(network, plan, weights)
    return plan


def stored_shapes(weights: Mapping[str, Shaped], source: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a checkpoint, once, by our names.

    Args:
        weights: tensors, or what is stored of them, with or without nnU-Net's aliases.
        source: the file they came from, for the sentence.

    Raises:
        FileError: a tensor stands there twice, or has another shape by another of its names.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in weights.items():
        bare = without_prefixes(name)
        if bare in shapes:
            raise FileError(source, f"holds {shown(bare)} twice", CHOOSE_ANOTHER)
        shapes[bare] = tuple(tensor.shape)
    unique = without_aliases(shapes)
    for name, shape in unique.items():
        for alias in aliases_of(name):
            if shapes.get(alias, shape) != shape:
                raise FileError(source, f"holds {shown(name)} in another shape as {shown(alias)}", CHOOSE_ANOTHER)
    return unique


def _is_still(model: PretrainedModel) -> Rule:
    """A rule: the file holds what was found in it before."""

    def check(content: Any) -> None:
        WEIGHTS(content)
        if stored_shapes(content["network_weights"], model.checkpoint) != model.shapes:
            raise FileError(model.checkpoint, "was replaced meanwhile by another one", "start the training again")

    return check
