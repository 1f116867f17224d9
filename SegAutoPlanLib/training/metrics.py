"""The Dice seen while training: hard predictions on validation patches, summed over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..labels import LabelScheme


def confusion_counts(logits: Tensor, target: Tensor, label_scheme: LabelScheme) -> Tensor:
    """True positives, false positives, false negatives of each foreground class, (3, classes) float64 on the CPU.

    Args:
        logits: (b, heads, *space).
        target: as the loss takes it: label values (b, *space), or region channels (b, c, *space).
    """
    if label_scheme.has_regions:
        counted = torch.ones_like(target[:, :1], dtype=torch.bool)
        if label_scheme.ignore_label is not None:
            counted, target = ~target[:, -1:].bool(), target[:, :-1]
        predicted, reference = logits > 0, target.bool()
    else:
        counted = torch.ones_like(target, dtype=torch.bool)[:, None]
        if label_scheme.ignore_label is not None:
            counted = (target != label_scheme.ignore_label)[:, None]
        values = torch.tensor(label_scheme.foreground_labels, device=logits.device).view(
            1, -1, *[1] * (target.ndim - 1)
        )
        predicted, reference = logits.argmax(1, keepdim=True) == values, target[:, None] == values
    over = (0, *range(2, predicted.ndim))
    counts = [
        (predicted & reference & counted).sum(over),
        (predicted & ~reference & counted).sum(over),
        (~predicted & reference & counted).sum(over),
    ]
    # Apple's GPUs have no float64.
    return torch.stack(counts).cpu().double()


def dice_of_counts(counts: Tensor) -> list[float]:
    """2 TP / (2 TP + FP + FN) per class; NaN for a class that is neither present nor predicted."""
    true_positive, false_positive, false_negative = counts.cpu()
    return ((2 * true_positive) / (2 * true_positive + false_positive + false_negative)).tolist()


def mean_of_known(values: Sequence[float]) -> float:
    """The mean without NaN; NaN if there is nothing else."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def moving_average(previous: float | None, new: float) -> float | None:
    """0.9 · previous + 0.1 · new; epochs that saw no class at all (NaN) change nothing."""
    if math.isnan(new):
        return previous
    return new if previous is None else 0.9 * previous + 0.1 * new
