"""Dice plus (binary) cross-entropy, nnU-Net's default, for exclusive labels and for regions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dice import Reduce, soft_dice_loss


class DiceCrossEntropy(nn.Module):
    """Softmax heads: cross-entropy (mean over voxels that count) + Dice of the foreground channels."""

    def __init__(self, ignore_label: int | None, batch_dice: bool, over_ranks: Reduce | None = None) -> None:
        super().__init__()
        self.ignore_label = ignore_label
        self.batch_dice = batch_dice
        self.over_ranks = over_ranks

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); target (b, *space) of label values, the ignore label included."""
        mask = None
        labels = target.long()
        cross_entropy = functional.cross_entropy(
            logits, labels, ignore_index=-100 if self.ignore_label is None else self.ignore_label
        )
        if self.ignore_label is not None:
            counted = target != self.ignore_label
            mask = counted[:, None]
            labels = torch.where(counted, labels, 0)
            if not counted.any():
                # The mean over no voxel is NaN; a zero that still carries a gradient is meant.
                cross_entropy = logits.sum() * 0
        one_hot = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        one_hot.scatter_(1, labels[:, None], True)
        dice = soft_dice_loss(logits.softmax(1)[:, 1:], one_hot[:, 1:], mask, self.batch_dice, self.over_ranks)
        return cross_entropy + dice


class DiceBinaryCrossEntropy(nn.Module):
    """Sigmoid heads (regions): binary cross-entropy + Dice of every channel."""

    def __init__(self, has_ignore: bool, batch_dice: bool, over_ranks: Reduce | None = None) -> None:
        super().__init__()
        self.has_ignore = has_ignore
        self.batch_dice = batch_dice
        self.over_ranks = over_ranks

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); target (b, c [+ 1 if ignore], *space) of 0/1, the last channel = ignored."""
        mask = None
        if self.has_ignore:
            mask = ~target[:, -1:].bool()
            target = target[:, :-1]
        voxelwise = functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none")
        cross_entropy = voxelwise.mean() if mask is None else _mean_where(voxelwise, mask)
        dice = soft_dice_loss(logits.sigmoid(), target, mask, self.batch_dice, self.over_ranks)
        return cross_entropy + dice


def _mean_where(voxelwise: Tensor, mask: Tensor) -> Tensor:
    # The mask has one channel and nnU-Net divides by its voxels, so this is a sum over the channels.
    return (voxelwise * mask).sum() / mask.sum().clamp_min(1e-8)
