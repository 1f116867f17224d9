"""What a loss compares: probabilities and references per channel, for exclusive labels and for regions.

Both classes read (logits, target) alike: logits (b, c, *space); the target as `training/targets.py` makes it. Values
are kept in float32 at least, since sums over 128³ voxels overflow half precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Reference:
    """What the network should have said."""

    one_hot: Tensor
    """(b, c, *space) of bool: one channel per channel of the logits."""
    counted: Tensor | None
    """(b, 1, *space) of bool, where a voxel counts; None means everywhere."""


class Heads(Protocol):
    """A kind of network head."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """(b, c, *space) in [0, 1]."""
        ...

    def complements(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """1 − p, with all its digits where p is nearly 1 too, of which 1 − p in float32 would leave few."""
        ...

    def reference(self, logits: Tensor, target: Tensor) -> Reference:
        """The target as one channel per head."""
        ...

    def foreground(self, channels: Tensor) -> Tensor:
        """The channels (axis 1) that a Dice-like loss looks at."""
        ...

    def entropies(self, logits: Tensor, target: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor | None]:
        """Cross-entropy of every voxel (and region), 0 where it does not count; and of that shape, where it counts."""
        ...

    def margins(self, logits: Tensor) -> Tensor:
        """(b, c, *space): above 0 where the channel is what the network decides for."""
        ...


def in_float32(values: Tensor) -> Tensor:
    """Half precision as float32; float64 stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class LabelHeads:
    """Softmax heads: labels that exclude each other, the target (b, *space) of label values."""

    def __init__(self, ignore_label: int | None) -> None:
        self.ignore_label = ignore_label

    def probabilities(self, logits: Tensor) -> Tensor:
        return in_float32(logits).softmax(1)

    def complements(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        # One channel at most is above one half; all others together are its complement.
        leads = probabilities > 0.5
        return torch.where(leads, torch.where(leads, 0, probabilities).sum(1, keepdim=True), 1 - probabilities)

    def reference(self, logits: Tensor, target: Tensor) -> Reference:
        labels, counted = target.long(), None
        if self.ignore_label is not None:
            counted = target != self.ignore_label
            labels = torch.where(counted, labels, 0)
            counted = counted[:, None]
        one_hot = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        return Reference(one_hot.scatter_(1, labels[:, None], True), counted)

    def foreground(self, channels: Tensor) -> Tensor:
        return channels[:, 1:]

    def entropies(self, logits: Tensor, target: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor | None]:
        ignored = {} if self.ignore_label is None else {"ignore_index": self.ignore_label}
        values = functional.cross_entropy(
            in_float32(logits), target.long(), reduction="none", label_smoothing=label_smoothing, **ignored
        )
        return values, None if self.ignore_label is None else target != self.ignore_label

    def margins(self, logits: Tensor) -> Tensor:
        """How far a class is ahead of the best other one."""
        logits = in_float32(logits)
        best, second = logits.topk(2, dim=1).values.split(1, dim=1)
        return logits - torch.where(logits == best, second, best)


class RegionHeads:
    """Sigmoid heads: regions that may overlap, the target (b, c [+ 1], *space) of 0 and 1, the last = ignored."""

    def __init__(self, has_ignore: bool) -> None:
        self.has_ignore = has_ignore

    def probabilities(self, logits: Tensor) -> Tensor:
        return in_float32(logits).sigmoid()

    def complements(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        return (-in_float32(logits)).sigmoid()

    def reference(self, logits: Tensor, target: Tensor) -> Reference:
        if not self.has_ignore:
            return Reference(target.bool(), None)
        return Reference(target[:, :-1].bool(), ~target[:, -1:].bool())

    def foreground(self, channels: Tensor) -> Tensor:
        return channels

    def entropies(self, logits: Tensor, target: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor | None]:
        logits = in_float32(logits)
        reference = self.reference(logits, target)
        wanted = reference.one_hot.to(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
        values = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        if reference.counted is None:
            return values, None
        return values * reference.counted, reference.counted.expand_as(values)

    def margins(self, logits: Tensor) -> Tensor:
        return in_float32(logits)
