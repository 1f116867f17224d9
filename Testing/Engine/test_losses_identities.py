"""What the losses are to each other."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from SegAutoPlanLib.losses import build_loss
from SegAutoPlanLib.losses.combo import Combo
from SegAutoPlanLib.losses.dice import dice_loss, minus_dice
from SegAutoPlanLib.losses.focal import Focal
from SegAutoPlanLib.losses.heads import LabelHeads, RegionHeads
from SegAutoPlanLib.losses.iou import iou_loss
from SegAutoPlanLib.losses.lovasz import Lovasz, jaccard_steps, probability_errors
from SegAutoPlanLib.losses.overlap import OverlapLoss
from SegAutoPlanLib.losses.powers import power
from SegAutoPlanLib.losses.topk import TopKCrossEntropy
from SegAutoPlanLib.losses.tversky import focal_tversky_loss, tversky_loss

from .loss_formulas import LABELS, REGIONS
from .test_losses_formulas import problem

EXACT = 1e-12


def of_labels(measure, whole_batch=False):
    return OverlapLoss(LabelHeads(None), measure, whole_batch)(*problem(LABELS))


@pytest.mark.parametrize("smooth", [0.0, 1e-5, 1.0])
def test_tversky_lies_between_dice_and_iou(smooth):
    half, one = (
        of_labels(partial(tversky_loss, false_positives=w, false_negatives=w, smooth=smooth)) for w in (0.5, 1)
    )
    assert half.item() == pytest.approx(of_labels(partial(dice_loss, smooth=2 * smooth)).item(), abs=EXACT)
    assert one.item() == pytest.approx(of_labels(partial(iou_loss, smooth=smooth)).item(), abs=EXACT)


def test_dice_is_twice_iou_over_one_plus_iou():
    scheme_problem = problem(LABELS, samples=1)
    dice, iou = (
        1 - OverlapLoss(LabelHeads(None), lambda overlap, m=measure: m(overlap, 0.0)[:, :1], False)(*scheme_problem)
        for measure in (dice_loss, iou_loss)
    )
    assert dice.item() == pytest.approx((2 * iou / (1 + iou)).item(), abs=EXACT)


def test_focal_tversky_with_an_exponent_of_one_is_tversky():
    assert of_labels(focal_tversky_loss) == of_labels(tversky_loss)


def test_focal_without_its_weights_is_cross_entropy():
    for scheme, heads, name in ((LABELS, LabelHeads(None), "ce"), (REGIONS, RegionHeads(False), "bce")):
        logits, target = problem(scheme)
        focal = Focal(heads, alpha=1.0, gamma=0.0)(logits, target)
        assert focal.item() == pytest.approx(build_loss(name, scheme, False)(logits, target).item(), abs=EXACT)


def test_the_worst_of_all_voxels_are_all():
    logits, target = problem(LABELS)
    worst = TopKCrossEntropy(LabelHeads(None), percent=100)(logits, target)
    assert worst.item() == pytest.approx(build_loss("ce", LABELS, False)(logits, target).item(), abs=EXACT)


def test_combo_is_half_of_binary_cross_entropy_or_dice_alone():
    logits, target = problem(REGIONS)
    entropy, dice = (Combo(RegionHeads(False), False, alpha=alpha)(logits, target).item() for alpha in (1.0, 0.0))
    assert entropy == pytest.approx(build_loss("bce", REGIONS, False)(logits, target).item() / 2, abs=EXACT)
    alone = OverlapLoss(RegionHeads(False), partial(minus_dice, smooth=1.0), False)(logits, target)
    assert dice == pytest.approx(alone.item(), abs=EXACT)


def hard_iou(predicted, reference):
    return (predicted & reference).sum() / (predicted | reference).sum()


def test_lovasz_at_a_hard_prediction_is_the_jaccard_loss():
    logits, target = problem(LABELS, samples=1)
    decided = torch.nn.functional.one_hot(logits.argmax(1), 3).movedim(-1, 1)
    expected = 1 - sum(hard_iou(decided[:, c].bool(), target == c) for c in range(3)) / 3
    for whole_batch in (False, True):
        loss = Lovasz(LabelHeads(None), probability_errors, whole_batch, only_present=True)
        found = loss(1e4 * decided.double(), target)
        assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_lovasz_hinge_at_margins_of_one_is_twice_the_jaccard_loss():
    """A wrong voxel is then 2 away from a margin of 1 on its own side, a right one not at all."""
    logits, target = problem(REGIONS, samples=1)
    found = build_loss("lovasz_hinge", REGIONS, False)(logits.sign(), target)
    expected = sum(1 - hard_iou(logits[0, c] > 0, target[0, c]) for c in range(2))
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_lovasz_hinge_of_two_exclusive_labels_is_that_of_their_difference():
    logits, target = problem(LABELS)
    logits, target = logits[:, :2], (target > 0).long()
    one_class = build_loss("lovasz_hinge", LABELS, False)(logits, target)
    region = build_loss("lovasz_hinge", REGIONS, False)(logits[:, 1:] - logits[:, :1], target[:, None].bool())
    assert one_class.item() == pytest.approx(region.item(), abs=EXACT)


@pytest.mark.parametrize("foreground", [[], [0], [2, 3], range(6)], ids=str)
def test_the_steps_of_the_jaccard_loss_sum_to_one(foreground):
    reference = torch.zeros(6, dtype=torch.bool)
    reference[list(foreground)] = True
    assert jaccard_steps(reference).sum().item() == pytest.approx(1, abs=1e-6)


def test_a_perfect_prediction_loses_nothing():
    _, target = problem(LABELS)
    logits = 100 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
    least = {"dice_ce": -1, "dice_ce_no_smooth": -1, "soft_dice": -1, "dice_topk": -1, "combo": -0.5}
    for name in ("dice", "iou", "tversky", "focal_tversky", "focal", "lovasz_softmax", "lovasz_hinge", "ce", *least):
        assert build_loss(name, LABELS, False)(logits, target).item() == pytest.approx(least.get(name, 0), abs=1e-6)


@pytest.mark.parametrize("exponent", [0, 0.75, 1, 2])
def test_a_power_has_a_finite_slope_at_zero(exponent):
    values = torch.tensor([-1e-9, 0.0, 0.25], requires_grad=True)
    result = power(values, exponent)
    result.sum().backward()
    assert result.tolist() == pytest.approx([max(0.0, float(v)) ** exponent for v in values.detach()], abs=1e-6)
    assert torch.isfinite(values.grad).all()
