"""Labels between voxels: the one that would weigh most if each were interpolated by itself.

Where all neighbours agree there is nothing to weigh, and that is nearly everywhere. So the nearest voxel is read for
all places, and weights are computed only where it has a neighbour of another label. The effort does not grow with the
number of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..sampling import PADDING_LABEL

Place = TypeVar("Place", Tensor, int)


def read_labels(labels: Tensor, places: Sequence[Tensor], interpolated: bool) -> Tensor:
    """Labels at places between the voxels of some maps.

    Args:
        labels: (maps, *crop) integers; beyond its ends everything is `PADDING_LABEL`.
        places: per axis (*patch), in voxels: 0 is the middle of the first one.
        interpolated: whether the heaviest label is taken, as nnU-Net does by default, or that of the nearest voxel.

    Returns:
        (maps, *patch) of the same type.
    """
    axes = len(places)
    bordered = pad(labels, (1, 1) * axes, value=PADDING_LABEL)
    # With a border of one voxel, what lies farther out is on it.
    inside = [(place + 1).clamp(0, length - 1) for place, length in zip(places, bordered.shape[1:], strict=True)]
    nearest = _flat_index([place.round().long() for place in inside], bordered.shape[1:])
    found = bordered.flatten(1)[:, nearest.flatten()].view(-1, *nearest.shape)
    if interpolated:
        uncertain = _has_other_neighbours(bordered).flatten(1)[:, nearest.flatten()].view(found.shape)
        which, *where = uncertain.nonzero(as_tuple=True)
        found[uncertain] = _heaviest(bordered, which, [place[tuple(where)] for place in inside])
    return found


def _has_other_neighbours(labels: Tensor) -> Tensor:
    """Whether any of the voxels around, diagonal ones too, has another label; (maps, *shape)."""
    lowest, highest = labels, labels
    for axis in range(1, labels.ndim):
        lowest, highest = _over_neighbours(lowest, axis, torch.minimum), _over_neighbours(highest, axis, torch.maximum)
    return lowest != highest


def _over_neighbours(values: Tensor, axis: int, choose: Callable[..., Tensor]) -> Tensor:
    result, inner = values.clone(), values.shape[axis] - 1
    for here, there in ((0, 1), (1, 0)):
        part = result.narrow(axis, here, inner)
        choose(part, values.narrow(axis, there, inner), out=part)
    return result


def _heaviest(labels: Tensor, which: Tensor, places: Sequence[Tensor]) -> Tensor:
    """The label with the largest sum of linear weights among the corners around each place.

    Args:
        labels: (maps, *shape)
        which, places: the map of each place, and the place per axis; (n,)
    """
    shape = labels.shape[1:]
    bases = [place.floor().clamp(max=length - 2) for place, length in zip(places, shape, strict=True)]
    first = which * labels[0].numel() + _flat_index([base.long() for base in bases], shape)
    steps = [_flat_index(corner, shape) for corner in product((0, 1), repeat=len(shape))]
    flat = labels.flatten()
    values = torch.stack([flat[first + step] for step in steps])
    weights = torch.ones((1, len(which)), device=labels.device)
    for place, base in zip(places, bases, strict=True):
        share = place - base
        weights = (weights[:, None] * torch.stack([1 - share, share])).flatten(0, 1)
    return _heaviest_of(values, weights)


def _heaviest_of(values: Tensor, weights: Tensor) -> Tensor:
    """Of corners (corners, n) with weights that add up to 1; where two are as heavy, the smaller label."""
    lowest, highest = torch.aminmax(values, dim=0)
    is_highest = values == highest
    winner = torch.where((is_highest * weights).sum(0) > 0.5, highest, lowest)
    # Two labels are the rule; where there are more, each is weighed.
    many = ~(is_highest | (values == lowest)).all(0)
    values, order = values[:, many].sort(0)
    weights = weights[:, many].gather(0, order)
    totals = torch.stack([((values == value) * weights).sum(0) for value in values])
    winner[many] = values.gather(0, totals.argmax(0)[None])[0]
    return winner


def _flat_index(places: Sequence[Place], shape: Sequence[int]) -> Place:
    index = places[0]
    for place, length in zip(places[1:], shape[1:], strict=True):
        index = index * length + place
    return index
