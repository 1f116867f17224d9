"""Soft Dice over the voxels that count (Milletari 2016; smoothing and reduction as nnU-Net's)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

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


class LabelDice(nn.Module):
    """Softmax heads: soft Dice of the foreground channels."""

    def __init__(self, ignore_label: int | None, batch_dice: bool, over_ranks: Reduce | None = None) -> None:
        super().__init__()
        self.ignore_label = ignore_label
        self.batch_dice = batch_dice
        self.over_ranks = over_ranks

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); target (b, *space) of label values, the ignore label included."""
        mask = None
        labels = target.long()
        if self.ignore_label is not None:
            counted = target != self.ignore_label
            mask = counted[:, None]
            labels = torch.where(counted, labels, 0)
        one_hot = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        one_hot.scatter_(1, labels[:, None], True)
        return soft_dice_loss(logits.softmax(1)[:, 1:], one_hot[:, 1:], mask, self.batch_dice, self.over_ranks)


class RegionDice(nn.Module):
    """Sigmoid heads (regions): soft Dice of every channel."""

    def __init__(self, has_ignore: bool, batch_dice: bool, over_ranks: Reduce | None = None) -> None:
        super().__init__()
        self.has_ignore = has_ignore
        self.batch_dice = batch_dice
        self.over_ranks = over_ranks

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); target (b, c [+ 1 if ignore], *space) of 0/1, the last channel = ignored."""
        mask = None
        if self.has_ignore:
            target, mask = target[:, :-1], ~target[:, -1:].bool()
        return soft_dice_loss(logits.sigmoid(), target, mask, self.batch_dice, self.over_ranks)
