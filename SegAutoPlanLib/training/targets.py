"""What the loss compares with: label values or region channels, at every resolution of the network's outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..labels import LabelScheme


def full_resolution_target(labels: Tensor, scheme: LabelScheme) -> Tensor:
    """(b, *space) with -1 outside the image → the same with 0 there, or (b, regions [+ ignored], *space) of bool."""
    labels = labels.clamp_min(0)
    if not scheme.has_regions:
        return labels
    channels = [
        torch.isin(labels, torch.tensor(region if isinstance(region, tuple) else (region,), device=labels.device))
        for region in scheme.regions
    ]
    if scheme.ignore_label is not None:
        channels.append(labels == scheme.ignore_label)
    return torch.stack(channels, dim=1)


def supervision_targets(target: Tensor, scheme: LabelScheme, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """The target at the size of each output, by nearest neighbour."""
    pyramid = []
    for shape in shapes:
        if tuple(shape) == tuple(target.shape[-len(shape) :]):
            pyramid.append(target)
            continue
        source = target if scheme.has_regions else target[:, None]
        small = interpolate(source.float(), size=tuple(shape), mode="nearest-exact")
        pyramid.append(small.bool() if scheme.has_regions else small[:, 0].to(target.dtype))
    return pyramid
