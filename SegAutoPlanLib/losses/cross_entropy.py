"""(Binary) cross-entropy over the voxels that count, nnU-Net's, for exclusive labels and for regions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class LabelCrossEntropy(nn.Module):
    """Softmax heads: the mean over the voxels that count; 0 where there is none."""

    def __init__(self, ignore_label: int | None) -> None:
        super().__init__()
        self.ignore_label = ignore_label

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); target (b, *space) of label values, the ignore label included."""
        if self.ignore_label is None:
            return functional.cross_entropy(logits, target.long())
        if not (target != self.ignore_label).any():
            # The mean over no voxel is NaN; a zero that still carries a gradient is meant.
            return logits.sum() * 0
        return functional.cross_entropy(logits, target.long(), ignore_index=self.ignore_label)


class RegionCrossEntropy(nn.Module):
    """Sigmoid heads (regions): the binary cross-entropy of every channel."""

    def __init__(self, has_ignore: bool) -> None:
        super().__init__()
        self.has_ignore = has_ignore

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); target (b, c [+ 1 if ignore], *space) of 0/1, the last channel = ignored."""
        regions = target[:, :-1] if self.has_ignore else target
        voxelwise = functional.binary_cross_entropy_with_logits(logits, regions.to(logits.dtype), reduction="none")
        if not self.has_ignore:
            return voxelwise.mean()
        mask = ~target[:, -1:].bool()
        # The mask has one channel and nnU-Net divides by its voxels, so this is a sum over the channels.
        return (voxelwise * mask).sum() / mask.sum().clamp_min(1e-8)
