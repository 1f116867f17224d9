"""The losses that nnU-Net has give what nnU-Net's own classes give.

Recorded with nnunetv2 2.8.1 on the same numbers in float32: the value, and the sum of the gradient's entries times
cos(0), cos(1), cos(2) … in their order, which no two gradients share by chance. Dice is its MemoryEfficientSoftDiceLoss
(in dice_topk its SoftDiceLoss), `no_smooth` the same with smooth 0, topk_ce its TopKLoss with k = 10.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from SegAutoPlanLib.losses import build_loss
from SegAutoPlanLib.training.targets import full_resolution_target

from .loss_formulas import IGNORING, LABELS, REGIONS, REGIONS_IGNORING

SCHEMES = {"labels": LABELS, "ignoring": IGNORING, "regions": REGIONS, "regions ignoring": REGIONS_IGNORING}
BATCH, SPACE = 3, (4, 5, 6)
RECORDED = {
    # loss, labels, Dice per sample or per batch: value, gradient
    "dice_ce labels samples": (1.9058094, 0.014989319),
    "dice_ce_no_smooth labels samples": (1.9058094, 0.014989321),
    "ce labels samples": (2.19420075, 0.008212993),
    "soft_dice labels samples": (-0.28839141, 0.006776325),
    "topk_ce labels samples": (5.70120811, -0.029710753),
    "topk_ce_ls01 labels samples": (5.42748165, -0.050791039),
    "dice_topk labels samples": (5.41281652, -0.022934423),
    "dice_bce regions samples": (0.78697658, -0.011845274),
    "dice_ce_no_smooth regions samples": (0.7869767, -0.011845274),
    "soft_dice regions samples": (-0.37872815, -0.001290247),
    "dice_ce ignoring samples": (1.68014741, 0.003801161),
    "dice_ce_no_smooth ignoring samples": (1.68014741, 0.003801163),
    "ce ignoring samples": (2.00762534, 0.005452675),
    "dice_bce regions ignoring samples": (1.80015707, -0.00580968),
    "dice_ce_no_smooth regions ignoring samples": (1.80015719, -0.00580968),
    "dice_ce labels batch": (1.90485048, 0.014837954),
    "dice_ce_no_smooth labels batch": (1.90485048, 0.014837954),
    "ce labels batch": (2.19420075, 0.008212993),
    "soft_dice labels batch": (-0.28935033, 0.006624962),
    "topk_ce labels batch": (5.70120811, -0.029710753),
    "topk_ce_ls01 labels batch": (5.42748165, -0.050791039),
    "dice_topk labels batch": (5.4118576, -0.023085792),
    "dice_bce regions batch": (0.78671253, -0.011787626),
    "dice_ce_no_smooth regions batch": (0.78671259, -0.011787627),
    "soft_dice regions batch": (-0.3789922, -0.001232599),
    "dice_ce ignoring batch": (1.68006349, 0.003971027),
    "dice_ce_no_smooth ignoring batch": (1.68006349, 0.003971025),
    "ce ignoring batch": (2.00762534, 0.005452675),
    "dice_bce regions ignoring batch": (1.79967928, -0.005610242),
    "dice_ce_no_smooth regions ignoring batch": (1.79967928, -0.005610241),
}


def wave(*shape: int) -> Tensor:
    """Logits that every machine makes alike."""
    n = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (3 * torch.sin(0.37 * n * n + n)).reshape(shape)


def label_values(count: int, *shape: int) -> Tensor:
    n = torch.arange(torch.Size(shape).numel())
    return ((n * n // 7 + n) % 11 % count).reshape(shape)


@pytest.mark.parametrize("case", RECORDED)
def test_value_and_gradient_are_nnunets(case):
    name, *kind, reduction = case.split()
    scheme = SCHEMES[" ".join(kind)]
    logits = wave(BATCH, scheme.head_count, *SPACE).float().requires_grad_()
    target = full_resolution_target(label_values(max(scheme.expected_values) + 1, BATCH, *SPACE), scheme)
    value = build_loss(name, scheme, reduction == "batch")(logits, target)
    value.backward()
    gradient = logits.grad.double().flatten()
    weighted = (gradient * torch.cos(torch.arange(len(gradient), dtype=torch.float64))).sum()
    assert (value.item(), weighted.item()) == pytest.approx(RECORDED[case], abs=5e-7)
