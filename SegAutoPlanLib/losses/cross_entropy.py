"""(Binary) cross-entropy over the voxels that count, nnU-Net's, for exclusive labels and for regions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .heads import in_float32
from .over_ranks import OverRanks, mean_of


class LabelCrossEntropy(nn.Module):
    """Softmax heads: the mean over the voxels that count; 0 where there is none."""

    def __init__(self, ignore_label: int | None, over_ranks: OverRanks | None = None) -> None:
        super().__init__()
        self.ignore_label, self.over_ranks = ignore_label, over_ranks

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); target (b, *space) of label values, the ignore label included."""
        ignored, count = {}, target.numel()
        if self.ignore_label is not None:
            ignored, count = {"ignore_index": self.ignore_label}, (target != self.ignore_label).sum()
        total = functional.cross_entropy(in_float32(logits), target.long(), reduction="sum", **ignored)
        return mean_of(total, count, self.over_ranks)


class RegionCrossEntropy(nn.Module):
    """Sigmoid heads (regions): the mean of every channel's binary cross-entropy.

    Where the dataset has an ignore label nnU-Net divides by the voxels alone, so it is a sum over the channels then.
    """

    def __init__(self, has_ignore: bool, over_ranks: OverRanks | None = None) -> None:
        super().__init__()
        self.has_ignore, self.over_ranks = has_ignore, over_ranks

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); target (b, c [+ 1 if ignore], *space) of 0/1, the last channel = ignored."""
        logits = in_float32(logits)
        regions = target[:, :-1] if self.has_ignore else target
        values = functional.binary_cross_entropy_with_logits(logits, regions.to(logits.dtype), reduction="none")
        if not self.has_ignore:
            return mean_of(values.sum(), values.numel(), self.over_ranks)
        counted = ~target[:, -1:].bool()
        return mean_of((values * counted).sum(), counted.sum(), self.over_ranks)
