"""A drawn record of changes, applied to a patch on whatever device it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .changes import AxisOrder, Change, Changes, Flip, QuarterTurn
from .intensity import change_values
from .space import change_space


@torch.no_grad()
def apply_changes(
    image: Tensor, labels: Tensor, drawn: Changes, patch_size: Sequence[int], masked_channels: Sequence[int] = ()
) -> tuple[Tensor, Tensor]:
    """The augmented patch; what is given stays as it is.

    Args:
        image: (c, *crop) float32; the crop is at least as large as the patch.
        labels: (maps, *crop) int16, -1 outside the image; all maps are changed alike.
        masked_channels: are set to 0 where the first map is -1, as their normalisation did.

    Returns:
        Image (c, *patch) and labels (maps, *patch), contiguous.
    """
    image, labels = change_space(image, labels, drawn.space, patch_size)
    for change in drawn.steps:
        if isinstance(change, QuarterTurn | AxisOrder | Flip):
            image, labels = _moved(image, change), _moved(labels, change)
        else:
            change_values(change, image)
    image, labels = image.contiguous(), labels.contiguous()
    for channel in masked_channels:
        image[channel] *= labels[0] >= 0
    return image, labels


def _moved(array: Tensor, change: Change) -> Tensor:
    """Voxels of (channels, …) in other places, none interpolated."""
    match change:
        case Flip(axes):
            return array.flip([1 + axis for axis in axes])
        case QuarterTurn(axes, times):
            return torch.rot90(array, times, [1 + axis for axis in axes]).contiguous()
        case AxisOrder(axes):
            return array.permute([0, *(1 + axis for axis in axes)]).contiguous()
