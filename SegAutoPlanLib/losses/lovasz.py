"""The Lovász extension of the Jaccard loss: IoU itself, made differentiable by sorting errors (Berman 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .heads import Heads
from .over_ranks import OverRanks, mean_of


def jaccard_steps(reference: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """How much the Jaccard loss 1 − I/U grows with each voxel that is got wrong, in the order given.

    The sequence J_i of Berman's algorithm 1 is not built and subtracted, which would cancel in float32: a foreground
    voxel takes one from I, so J grows by 1/U; another adds one to U, so J grows by I / (U (U − 1)). Without any
    foreground the first wrong voxel makes all the loss.

    Args:
        reference: (..., n) of bool.

    Returns:
        (..., n), summing to 1.
    """
    total = reference.sum(-1, keepdim=True, dtype=torch.int32)
    seen = reference.cumsum(-1, dtype=torch.int32)
    place = torch.arange(1, reference.shape[-1] + 1, dtype=torch.int32, device=reference.device)
    union = (total + place - seen).to(dtype)
    steps = torch.where(reference, 1 / union, (total - seen) / (union - 1).clamp_min(1) / union)
    steps[..., :1] += total == 0
    return steps


def lovasz_extension(errors: Tensor, reference: Tensor) -> Tensor:
    """Σ max(e_i, 0) ΔJ_i over the errors from the largest down, (...) for errors and references (..., n).

    Errors below 0 count nothing, so that is what ignored voxels are given.
    """
    order = _largest_first(errors.detach())
    steps = jaccard_steps(reference.gather(-1, order), errors.dtype)
    return (errors.gather(-1, order).clamp_min(0) * steps).sum(-1)


def _largest_first(values: Tensor) -> Tensor:
    if values.device.type != "cpu":
        return values.argsort(-1, descending=True)
    # numpy sorts with vector instructions, which makes it five times as fast as torch here.
    return torch.from_numpy(np.argsort(-values.numpy(), axis=-1))


@dataclass(frozen=True)
class Errors:
    """How wrong each voxel is, (b, c, *space) all."""

    values: Tensor
    reference: Tensor
    """Of bool."""
    counted: Tensor | None
    """(b, 1, *space), where a voxel counts; None means everywhere."""


def probability_errors(heads: Heads, logits: Tensor, target: Tensor) -> Errors:
    """Lovász softmax: |g − p| of every channel, background among them as in the paper."""
    reference, probabilities = heads.reference(logits, target), heads.probabilities(logits)
    values = torch.where(reference.one_hot, 1 - probabilities, probabilities)
    return Errors(values, reference.one_hot, reference.counted)


def hinge_errors(heads: Heads, logits: Tensor, target: Tensor) -> Errors:
    """Lovász hinge: 1 − m (2 g − 1) of every foreground channel, m its margin.

    The margin is the logit of a region, and of a label its logit less the largest other one: the sign of either is
    what the network decides.
    """
    reference = heads.reference(logits, target)
    one_hot, margins = map(heads.foreground, (reference.one_hot, heads.margins(logits)))
    return Errors(1 - torch.where(one_hot, margins, -margins), one_hot, reference.counted)


class Lovasz(nn.Module):
    """The extension over the errors of each channel: the mean over channels and images, or over those of the batch.

    Args:
        errors_of: which errors.
        whole_batch: one sorted list of the whole batch per channel, else one per image.
        only_present: mean over the channels that occur in the reference of the image (or batch), else over all. Where
            none occurs it is 0.
    """

    def __init__(
        self,
        heads: Heads,
        errors_of: Callable[[Heads, Tensor, Tensor], Errors],
        whole_batch: bool,
        only_present: bool,
        over_ranks: OverRanks | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.errors_of, self.over_ranks = heads, errors_of, over_ranks
        self.whole_batch, self.only_present = whole_batch, only_present

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); the target of those heads."""
        errors = self.errors_of(self.heads, logits, target)
        values, reference = errors.values, errors.reference
        if errors.counted is not None:
            values, reference = values.masked_fill(~errors.counted, -1), reference & errors.counted
        values, reference = values.flatten(2), reference.flatten(2)
        if self.whole_batch:
            if self.over_ranks is not None:
                values, reference = self.over_ranks.gather(values), self.over_ranks.gather(reference)
            values, reference = (each.transpose(0, 1).flatten(1)[None] for each in (values, reference))
        losses = self._mean_of_channels(lovasz_extension(values, reference), reference.any(-1))
        return losses[0] if self.whole_batch else mean_of(losses.sum(), len(losses), self.over_ranks)

    def _mean_of_channels(self, values: Tensor, present: Tensor) -> Tensor:
        if not self.only_present:
            return values.mean(1)
        return (values * present).sum(1) / present.sum(1).clamp_min(1)
