"""Soft Dice over the voxels that count (Milletari 2016; smoothing and reduction as nnU-Net's)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Reduce = Callable[[Tensor], Tensor]
SMOOTH = 1e-5


def soft_dice_loss(
    probabilities: Tensor,
    target: Tensor,
    mask: Tensor | None,
    batch_dice: bool,
    over_ranks: Reduce | None = None,
) -> Tensor:
    """Minus the mean soft Dice of the channels.

    Args:
        probabilities: (b, c, *space), the channels that count (background already dropped).
        target: (b, c, *space) of 0 and 1.
        mask: (b, 1, *space), 1 where a voxel counts; None means everywhere.
        batch_dice: sum over the batch before the ratio is taken (nnU-Net does so for 2d), else one ratio per sample.
        over_ranks: differentiable sum over the processes of a distributed run, used with `batch_dice`.

    Returns:
        A scalar in [-1, 0].
    """
    space = tuple(range(2, probabilities.ndim))
    # Half-precision sums over 128³ voxels overflow; sums are kept in float32.
    probabilities = probabilities.float()
    target = target.to(probabilities.dtype)
    if mask is not None:
        mask = mask.to(probabilities.dtype)
        target = target * mask
        predicted = (probabilities * mask).sum(space)
    else:
        predicted = probabilities.sum(space)
    intersection = (probabilities * target).sum(space)
    reference = target.sum(space)
    if batch_dice:
        sums = torch.stack((intersection.sum(0), predicted.sum(0), reference.sum(0)))
        if over_ranks is not None:
            sums = over_ranks(sums)
        intersection, predicted, reference = sums
    dice = (2 * intersection + SMOOTH) / (predicted + reference + SMOOTH).clamp_min(1e-8)
    return -dice.mean()
