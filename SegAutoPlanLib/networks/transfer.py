"""Which numbers of a trained network another one starts from: arithmetic on names and shapes, then one copy.

| tensor | what is taken |
|---|---|
| of the same name and shape | all of it; the decoder's stages are counted from full resolution, as the encoder's |
| first convolution | the filters of each channel, by the channel's name |
| segmentation heads | the row of each class or region, by its name, if both are softmax or both sigmoid |
| any other | nothing: it stays as it was initialised |

A new channel beside known ones begins with filters of zero: the network answers as it did before, and its first step
already teaches it the channel. Where no channel is known all get the mean filter, scaled so that the activations keep
their size. nnU-Net's rule (everything but the heads has the same name and shape) is the case in which all is taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..labels import LabelScheme
from ..matching import is_same_name, match_names, pair_channels
from .weights import HEADS

FIRST_CONVOLUTIONS = ("encoder.stages.0.0.convs.0.conv.weight", "encoder.stem.convs.0.conv.weight")
"""Of the plain and of the residual encoder: the one tensor whose size depends on the channels, on axis 1."""
DECODER_STAGE = re.compile(r"decoder\.(?:stages|transpconvs|seg_layers)\.([0-9]{1,4})\.")
SHOWN_NAMES = 6
BACKGROUND = "background"

Shapes = Mapping[str, tuple[int, ...]]
Row = int | Literal["mean", "zero", "fresh"]
"""The row of the source that a row of the target is, or what it is instead; `fresh` stays as it was initialised."""


@dataclass(frozen=True)
class Ends:
    """What goes into a network and comes out of it, by name."""

    channels: tuple[str, ...] | None
    """Of the image, in the order of the network's input; None where nobody said."""
    previous: tuple[str, ...] = ()
    """The classes of a cascade's first stage, whose masks follow the channels."""
    classes: tuple[str, ...] | None = None
    """One per head row; None where nobody said."""
    regions: bool = False
    """Whether the heads are sigmoids, each on its own."""


@dataclass(frozen=True)
class Taken:
    """What a tensor gets from one of the source."""

    source: str
    axis: int = 0
    rows: tuple[Row, ...] | None = None
    """Along the axis; None: all of it as it is."""
    averaged: int = 0
    """So many first rows of the source are what `mean` is made of."""

    @property
    def share(self) -> float:
        """The part of the tensor that comes from the source."""
        if self.rows is None:
            return 1.0
        return sum(row not in ("zero", "fresh") for row in self.rows) / max(1, len(self.rows))


@dataclass(frozen=True)
class Transfer:
    """What is taken from a trained network, tensor by tensor, and what it means."""

    taken: Mapping[str, Taken]
    """By the target's name of a tensor."""
    left: tuple[str, ...]
    """Tensors of the target that keep their fresh values."""
    parameters: int
    """Of the target."""
    parameters_taken: int
    channels: str
    """What the first convolution does with the channels, in words."""
    heads: str
    """What became of the classes, in words."""

    @property
    def share(self) -> float:
        """The part of the target's parameters that come from the source."""
        return self.parameters_taken / max(1, self.parameters)

    def __str__(self) -> str:
        words = [
            f"taken {len(self.taken)} of {len(self.taken) + len(self.left)} tensors ({_percent(self.share)} of the "
            "weights)",
            f"first convolution: {self.channels}",
            f"heads: {self.heads}",
        ]
        return "; ".join(words + ([f"not taken: {listed(self.left)}"] if self.left else []))


def ends_of(channel_names: Sequence[str] | None, scheme: LabelScheme | None, inputs: int) -> Ends:
    """The ends of a network by what its dataset.json says.

    Args:
        channel_names: of the image.
        scheme: its labels.
        inputs: input channels of the network, more than the image has where it is a cascade's second stage.
    """
    foreground = [scheme.name_of(label) for label in scheme.foreground_labels] if scheme else []
    surplus = inputs - len(channel_names or ())
    known = channel_names is not None and surplus in (0, len(foreground))
    return Ends(
        channels=tuple(channel_names) if channel_names is not None and known else None,
        previous=tuple(foreground) if known and surplus else (),
        classes=tuple(map(scheme.name_of, scheme.regions if scheme.has_regions else scheme.all_labels))
        if scheme
        else None,
        regions=scheme is not None and scheme.has_regions,
    )


def plan_transfer(source_shapes: Shapes, source: Ends, target_shapes: Shapes, target: Ends) -> Transfer:
    """What a network takes from another's weights.

    Args:
        source_shapes: each tensor of the source once, by our names.
        source: what its ends stand for.
        target_shapes: of the network that starts from it.
        target: what its ends stand for.
    """
    of_target = {_in_depth(name, source_shapes, target_shapes): name for name in source_shapes}
    kept_rows, heads = _head_rows(source, target)
    taken, channels = {}, "not taken"
    for name, shape in target_shapes.items():
        if name not in of_target:
            continue
        found, before = of_target[name], source_shapes[of_target[name]]
        if name in FIRST_CONVOLUTIONS:
            if _differ_only_along(1, before, shape):
                taken[name], channels = _take_channels(found, source, target, before[1], shape[1])
        elif HEADS in name:
            fits = _differ_only_along(0, before, shape) and before[0] == len(source.classes or ())
            if fits and shape[0] == len(kept_rows) and kept_rows.count("fresh") < len(kept_rows):
                taken[name] = Taken(found, 0, kept_rows)
        elif before == shape:
            taken[name] = Taken(found)
    if not any(HEADS in name for name in taken):
        heads = "new"
    return Transfer(
        taken=taken,
        left=tuple(name for name in target_shapes if name not in taken),
        parameters=sum(map(math.prod, target_shapes.values())),
        parameters_taken=round(sum(one.share * math.prod(target_shapes[name]) for name, one in taken.items())),
        channels=channels,
        heads=heads,
    )


@torch.no_grad()
def transfer(network: nn.Module, plan: Transfer, weights: Mapping[str, Tensor]) -> None:
    """Copy what the plan takes into the network; the rest stays as it is.

    Args:
        weights: the source's tensors, each once, by our names.
    """
    state = network.state_dict()
    for name, taken in plan.taken.items():
        into, source = state[name], weights[taken.source].to(state[name])
        if taken.rows is None:
            into.copy_(source)
            continue
        into, source = into.transpose(0, taken.axis), source.transpose(0, taken.axis)
        for place, row in enumerate(taken.rows):
            if row == "zero":
                into[place].zero_()
            elif row == "mean":
                # As many channels of the mean filter as there are of it: their sum stays that of the source.
                into[place].copy_(source[: taken.averaged].sum(0) / taken.rows.count("mean"))
            elif row != "fresh":
                into[place].copy_(source[row])


def inputs_of(shapes: Shapes) -> int:
    """The input channels of a network by its shapes; 0 where it has no first convolution that we know."""
    return next((shapes[name][1] for name in FIRST_CONVOLUTIONS if len(shapes.get(name, ())) > 1), 0)


def heads_of(shapes: Shapes) -> int:
    """The head rows of a network by its shapes; 0 where it has no heads that we know."""
    return next((shape[0] for name, shape in shapes.items() if HEADS in name and shape), 0)


def listed(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more


def _take_channels(found: str, source: Ends, target: Ends, inputs: int, outputs: int) -> tuple[Taken, str]:
    """The filters of each channel, and in words which they are."""
    if source.channels is None or target.channels is None:
        if inputs == outputs:
            return Taken(found), "as it is"
        rows: tuple[Row, ...] = ("mean",) * outputs
        return Taken(found, 1, rows, inputs), "the mean filter for every channel, whose names are not known"
    matched = pair_channels(target.channels, source.channels)
    by_place = {
        place: row
        for place, row in enumerate(matched)
        if row is not None and not is_same_name(target.channels[place], source.channels[row])
    }
    missing: Row = "zero" if any(row is not None for row in matched) else "mean"
    first = len(source.channels)
    masks = match_names(target.previous, source.previous)
    rows = (
        *(missing if row is None else row for row in matched),
        *("zero" if row is None else first + row for row in masks),
    )
    kept = [name for place, name in enumerate(target.channels) if matched[place] is not None and place not in by_place]
    new = [name for place, name in enumerate(target.channels) if matched[place] is None]
    new += [f"mask of {name}" for name, row in zip(target.previous, masks, strict=True) if row is None]
    gone = [name for place, name in enumerate(source.channels) if place not in matched]
    renamed = [f"{target.channels[place]} as {source.channels[row]}" for place, row in by_place.items()]
    words = [f"{listed(kept)} kept"] * bool(kept) + ([listed(renamed)] if renamed else [])
    words += [f"{listed(new)} new" + (" (mean filter)" if missing == "mean" else "")] if new else []
    words += [f"{listed(gone)} dropped"] if gone else []
    identical = inputs == outputs and rows == tuple(range(inputs))
    return Taken(found) if identical else Taken(found, 1, rows, first), ", ".join(words)


def _head_rows(source: Ends, target: Ends) -> tuple[tuple[Row, ...], str]:
    """The row of each class of the target, and in words which are kept."""
    classes = target.classes or ()
    if source.classes is None or source.regions != target.regions:
        return ("fresh",) * len(classes), "new"
    rows = match_names(classes, source.classes)
    if all(row is None or name == BACKGROUND for name, row in zip(classes, rows, strict=True)):
        # A trained background beside untrained classes would outshout them.
        return ("fresh",) * len(classes), "new"
    kept = [name for name, row in zip(classes, rows, strict=True) if row is not None]
    new = [name for name, row in zip(classes, rows, strict=True) if row is None]
    gone = [name for place, name in enumerate(source.classes) if place not in rows]
    words = [f"{listed(names)} {what}" for names, what in ((kept, "kept"), (new, "new"), (gone, "dropped")) if names]
    return tuple("fresh" if row is None else row for row in rows), ", ".join(words)


def _in_depth(name: str, source_shapes: Shapes, target_shapes: Shapes) -> str:
    """The target's name of a source's tensor: decoder stage 0 is the lowest resolution, whichever that is."""
    found = DECODER_STAGE.match(name)
    if found is None:
        return name
    index = int(found[1]) + _decoder_stages(target_shapes) - _decoder_stages(source_shapes)
    return f"{name[: found.start(1)]}{index}{name[found.end(1) :]}"


def _decoder_stages(shapes: Shapes) -> int:
    return 1 + max((int(found[1]) for found in map(DECODER_STAGE.match, shapes) if found), default=-1)


def _differ_only_along(axis: int, one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    if len(one) != len(other) or len(one) <= axis:
        return False
    return one[:axis] + one[axis + 1 :] == other[:axis] + other[axis + 1 :]


def _percent(share: float) -> str:
    """Rounded down, so that 100 % is everything."""
    return f"{math.floor(100 * share)} %"
