"""The Lovász extension of the Jaccard loss: IoU itself, made differentiable by sorting errors (Berman 2018)."""

from __future__ import annotations

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


class _Lovasz(nn.Module):
    """What both forms share: the errors of the channels → a loss per image, or one of the batch.

    Args:
        whole_batch: one sorted list of the whole batch per channel, else one per image.
        only_present: mean over the channels that occur in the reference of the image (or batch), else over all. An
            image without any gives 0.
    """

    def __init__(
        self, heads: Heads, whole_batch: bool, only_present: bool, over_ranks: OverRanks | None = None
    ) -> None:
        super().__init__()
        self.heads, self.over_ranks = heads, over_ranks
        self.whole_batch, self.only_present = whole_batch, only_present

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (b, c, *space); the target of those heads."""
        errors, reference, counted = self._errors(logits, target)
        if counted is not None:
            errors, reference = errors.masked_fill(~counted, -1), reference & counted
        errors, reference = errors.flatten(2), reference.flatten(2)
        if self.whole_batch:
            if self.over_ranks is not None:
                errors, reference = self.over_ranks.gather(errors), self.over_ranks.gather(reference)
            errors, reference = (values.transpose(0, 1).flatten(1)[None] for values in (errors, reference))
        values = self._mean_of_channels(lovasz_extension(errors, reference), reference.any(-1))
        if self.whole_batch:
            return values[0]
        return mean_of(values.sum(), len(values), self.over_ranks)

    def _mean_of_channels(self, values: Tensor, present: Tensor) -> Tensor:
        if not self.only_present:
            return values.mean(1)
        return (values * present).sum(1) / present.sum(1).clamp_min(1)

    def _errors(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Errors and references (b, c, *space), and where they count."""
        raise NotImplementedError


class LovaszSoftmax(_Lovasz):
    """On the errors |g − p| of every channel's probabilities, background among them as in the paper."""

    def _errors(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        reference = self.heads.reference(logits, target)
        probabilities = self.heads.probabilities(logits)
        errors = torch.where(reference.one_hot, 1 - probabilities, probabilities)
        return errors, reference.one_hot, reference.counted


class LovaszHinge(_Lovasz):
    """On the hinge errors 1 − m (2 g − 1) of every foreground channel, m its margin.

    The margin is the logit of a region, and of a label its logit less the largest other one: the sign of either is
    what the network decides.
    """

    def _errors(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        reference = self.heads.reference(logits, target)
        one_hot, margins = map(self.heads.foreground, (reference.one_hot, self.heads.margins(logits)))
        return 1 - torch.where(one_hot, margins, -margins), one_hot, reference.counted
