"""The losses once more, written as their papers have them: voxel lists in float64, no batches, no broadcasting.

Each formula takes the lists of what counts, one after the other per sample (or one list of the whole batch), so that
masks, reductions and sorting are nobody's trick but the tested code's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from SegAutoPlanLib.labels import LabelScheme

LABELS = LabelScheme((("background", 0), ("a", 1), ("b", 2)))
ONE_CLASS = LabelScheme((("background", 0), ("a", 1)))
MANY_CLASSES = LabelScheme((("background", 0), *((f"class {n}", n) for n in range(1, 9))))
IGNORING = LabelScheme((("background", 0), ("a", 1), ("b", 2), ("ignore", 3)))
REGIONS = LabelScheme((("background", 0), ("whole", (1, 2)), ("core", 2)), (1, 2))
ONE_REGION = LabelScheme((("background", 0), ("whole", (1, 2))), (1,))
REGIONS_IGNORING = LabelScheme((("background", 0), ("whole", (1, 2)), ("core", 2), ("ignore", 3)), (1, 2))
SCHEMES = {
    "labels": LABELS,
    "one class": ONE_CLASS,
    "many classes": MANY_CLASSES,
    "ignoring": IGNORING,
    "regions": REGIONS,
    "one region": ONE_REGION,
    "regions ignoring": REGIONS_IGNORING,
}


@dataclass(frozen=True)
class Voxels:
    """Those of one sample that count, or of the whole batch."""

    logits: Tensor
    """(c, n) float64."""
    truth: Tensor
    """(c, n) of 0 and 1."""
    regions: bool
    has_ignore: bool

    @property
    def probabilities(self) -> Tensor:
        return self.logits.sigmoid() if self.regions else self.logits.softmax(0)

    @property
    def foreground(self) -> list[tuple[Tensor, Tensor]]:
        """p and g of each channel that a Dice-like loss looks at."""
        channels = list(zip(self.probabilities, self.truth, strict=True))
        return channels if self.regions else channels[1:]

    def entropies(self, smoothing: float = 0.0) -> Tensor:
        """A list of all cross-entropies."""
        truth = self.truth
        if self.regions:
            truth = truth * (1 - smoothing) + smoothing / 2
            p = self.probabilities
            return -(truth * p.log() + (1 - truth) * (1 - p).log()).flatten()
        truth = truth * (1 - smoothing) + smoothing / len(truth)
        return -(truth * self.probabilities.log()).sum(0)


def voxels_of(logits: Tensor, target: Tensor, scheme: LabelScheme) -> Iterator[Voxels]:
    """Sample by sample."""
    has_ignore = scheme.ignore_label is not None
    for sample, wanted in zip(logits.double().flatten(2), target.flatten(2 if scheme.has_regions else 1), strict=True):
        if scheme.has_regions:
            counted = ~wanted[-1].bool() if has_ignore else torch.ones(wanted.shape[-1], dtype=torch.bool)
            truth = wanted[: len(sample)].double()
        else:
            counted = wanted != scheme.ignore_label if has_ignore else torch.ones_like(wanted, dtype=torch.bool)
            truth = torch.stack([(wanted == value).double() for value in range(len(sample))])
        yield Voxels(sample[:, counted], truth[:, counted], scheme.has_regions, has_ignore)


def joined(samples: list[Voxels]) -> Voxels:
    first = samples[0]
    return Voxels(
        torch.cat([each.logits for each in samples], 1),
        torch.cat([each.truth for each in samples], 1),
        first.regions,
        first.has_ignore,
    )


def mean(values: list[Tensor]) -> Tensor:
    return sum(values) / len(values)


def overlap(formula: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Voxels], Tensor]:
    """Of TP, FP, FN of each channel."""

    def loss(voxels: Voxels) -> Tensor:
        return mean([formula((p * g).sum(), (p * (1 - g)).sum(), ((1 - p) * g).sum()) for p, g in voxels.foreground])

    return loss


def dice(smooth: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda tp, fp, fn: (2 * tp + smooth) / (2 * tp + fp + fn + smooth).clamp_min(1e-8)


def tversky(alpha: float, beta: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda tp, fp, fn: (tp + 1) / (tp + alpha * fp + beta * fn + 1)


def cross_entropy(voxels: Voxels) -> Tensor:
    entropies = voxels.entropies()
    if not len(entropies):
        return voxels.logits.sum() * 0
    # nnU-Net's sum over the regions, where a label is ignored.
    return entropies.mean() * (len(voxels.logits) if voxels.regions and voxels.has_ignore else 1)


def focal(voxels: Voxels) -> Tensor:
    entropies = voxels.entropies()
    return (0.8 * (1 - (-entropies).exp()) ** 2 * entropies).sum() / max(1, len(entropies))


def worst_tenth(smoothing: float = 0.0) -> Callable[[Voxels], Tensor]:
    def loss(voxels: Voxels) -> Tensor:
        entropies = voxels.entropies(smoothing).sort(descending=True).values
        return entropies[: max(1, len(entropies) // 10)].mean() if len(entropies) else voxels.logits.sum() * 0

    return loss


def jaccard_extension(errors: Tensor, truth: Tensor) -> Tensor:
    """Σ e_i (J_i − J_(i−1)), J_i = |M| / |G ∪ M| the Jaccard loss if the i voxels of the largest errors are wrong."""
    order = errors.argsort(descending=True)
    missed, before, total = torch.zeros_like(truth, dtype=torch.bool), 0.0, 0 * errors.sum()
    for voxel in order.tolist():
        missed[voxel] = True
        now = float(missed.sum() / (missed | truth.bool()).sum())
        total = total + errors[voxel].clamp_min(0) * (now - before)
        before = now
    return total


def lovasz_softmax(voxels: Voxels) -> Tensor:
    channels = list(zip(voxels.probabilities, voxels.truth, strict=True))
    if not voxels.regions:
        channels = [(p, g) for p, g in channels if g.any()]
    if not channels:
        return voxels.logits.sum() * 0
    return mean([jaccard_extension((g - p).abs(), g) for p, g in channels])


def lovasz_hinge(voxels: Voxels) -> Tensor:
    losses = []
    for channel in range(0 if voxels.regions else 1, len(voxels.logits)):
        margin = voxels.logits[channel]
        if not voxels.regions:
            others = [z for number, z in enumerate(voxels.logits) if number != channel]
            margin = margin - torch.stack(others).amax(0)
        losses.append(jaccard_extension(1 - margin * (2 * voxels.truth[channel] - 1), voxels.truth[channel]))
    return mean(losses)


def weighted_entropy(voxels: Voxels) -> Tensor:
    values = [
        -(g * p.clamp(1e-7, 1 - 1e-7).log() + (1 - g) * (1 - p.clamp(1e-7, 1 - 1e-7)).log()) / 2
        for p, g in voxels.foreground
    ]
    values = torch.cat(values)
    return values.sum() / max(1, len(values))


PER_SAMPLE = {
    "dice": overlap(lambda *counts: 1 - dice(1.0)(*counts)),
    "soft_dice": overlap(lambda *counts: -dice(1e-5)(*counts)),
    "no_smooth": overlap(lambda *counts: -dice(0.0)(*counts)),
    "half_dice": overlap(lambda *counts: -dice(1.0)(*counts) / 2),
    "iou": overlap(lambda tp, fp, fn: 1 - (tp + 1) / (tp + fp + fn + 1)),
    "tversky": overlap(lambda *counts: 1 - tversky(0.5, 0.5)(*counts)),
    "tversky_recall": overlap(lambda *counts: 1 - tversky(0.3, 0.7)(*counts)),
    "focal_tversky": overlap(lambda *counts: 1 - tversky(0.5, 0.5)(*counts)),
    "focal_tversky_recall": overlap(lambda *counts: (1 - tversky(0.3, 0.7)(*counts)).clamp_min(1e-30) ** 0.75),
    "lovasz_softmax": lovasz_softmax,
    "lovasz_hinge": lovasz_hinge,
}
"""A mean of the samples', or of the whole batch taken as one."""
OF_ALL_VOXELS = {
    "ce": cross_entropy,
    "bce": cross_entropy,
    "focal": focal,
    "topk_ce": worst_tenth(),
    "topk_ce_ls01": worst_tenth(0.1),
    "half_combo": lambda voxels: weighted_entropy(voxels) / 2,
}
SUMS = {
    "dice_ce": ("ce", "soft_dice"),
    "dice_bce": ("bce", "soft_dice"),
    "dice_ce_no_smooth": ("ce", "no_smooth"),
    "dice_topk": ("topk_ce", "soft_dice"),
    "combo": ("half_combo", "half_dice"),
}


def evaluate(name: str, logits: Tensor, target: Tensor, scheme: LabelScheme, whole_batch: bool) -> Tensor:
    """The loss of that name, directly; with a gradient if the logits have one."""
    samples = list(voxels_of(logits, target, scheme))
    values = []
    for part in SUMS.get(name, (name,)):
        if part in OF_ALL_VOXELS:
            values.append(OF_ALL_VOXELS[part](joined(samples)))
        elif whole_batch:
            values.append(PER_SAMPLE[part](joined(samples)))
        else:
            values.append(mean([PER_SAMPLE[part](sample) for sample in samples]))
    return sum(values)
