"""Every loss, value and gradient, against a direct float64 evaluation of its formula."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from SegAutoPlanLib.losses import LOSSES, build_loss
from SegAutoPlanLib.losses.deep_supervision import DeepSupervision, supervision_weights
from SegAutoPlanLib.training.targets import full_resolution_target

from .loss_formulas import IGNORING, LABELS, ONE_CLASS, ONE_REGION, REGIONS, REGIONS_IGNORING, SCHEMES, evaluate

TOLERANCE = 1e-6
SPACES = {"2d": (6, 7), "3d": (3, 4, 5)}
TARGETS = ("random", "empty", "a sample is ignored", "all is ignored")


def problem(scheme, space=(3, 4, 5), target="random", samples=2, seed=0):
    """Logits in float64 and a target of label values or regions."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, scheme.head_count, *space, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, max(scheme.expected_values) + 1, (samples, *space), generator=generator)
    if target == "empty":
        labels[:] = 0
    elif target == "a sample is ignored":
        labels[0] = scheme.ignore_label
    elif target == "all is ignored":
        labels[:] = scheme.ignore_label
    return logits, full_resolution_target(labels, scheme)


def value_and_gradient(loss, logits, *target):
    logits = logits.clone().requires_grad_()
    value = loss(logits, *target)
    value.backward()
    return value.detach(), logits.grad


def fitting_cases():
    for loss in LOSSES.values():
        for name, scheme in SCHEMES.items():
            for target in TARGETS:
                if loss.fits(scheme) and (scheme.ignore_label is not None or "ignored" not in target):
                    yield pytest.param(loss.name, scheme, target, id=f"{loss.name} {name} {target}")


@pytest.mark.parametrize(("name", "scheme", "target"), fitting_cases())
def test_value_and_gradient_are_those_of_the_formula(name, scheme, target):
    for space in SPACES.values():
        for whole_batch in (False, True):
            logits, wanted = problem(scheme, space, target)
            expected, slope = value_and_gradient(partial(evaluate, name), logits, wanted, scheme, whole_batch)
            loss = build_loss(name, scheme, whole_batch)
            for given, tolerance in ((logits, TOLERANCE), (logits.float(), 2 * TOLERANCE)):
                value, gradient = value_and_gradient(loss, given, wanted)
                assert value.double() == pytest.approx(expected.item(), abs=tolerance), (space, whole_batch)
                assert torch.allclose(gradient.double(), slope, atol=TOLERANCE, rtol=0), (space, whole_batch)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_the_slope_of_the_value(name):
    for scheme in filter(LOSSES[name].fits, (LABELS, IGNORING, REGIONS_IGNORING)):
        for whole_batch in (False, True):
            logits, target = problem(scheme, (2, 3), seed=3)
            loss = build_loss(name, scheme, whole_batch)
            assert torch.autograd.gradcheck(loss, (logits.requires_grad_(), target), eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_without_a_voxel_that_counts_the_loss_is_its_least_and_pulls_nowhere(name):
    for scheme in filter(LOSSES[name].fits, (IGNORING, REGIONS_IGNORING)):
        logits, target = problem(scheme, target="all is ignored")
        value, gradient = value_and_gradient(build_loss(name, scheme, False), logits, target)
        assert value <= 0
        assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("name", LOSSES)
def test_what_lies_in_ignored_voxels_changes_nothing(name):
    for scheme in filter(LOSSES[name].fits, (IGNORING, REGIONS_IGNORING)):
        logits, target = problem(scheme)
        ignored = (target[:, -1:] if scheme.has_regions else target[:, None] == 3).bool()
        loss = build_loss(name, scheme, False)
        assert torch.allclose(loss(torch.where(ignored, 30.0, logits), target), loss(logits, target), atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_leave_value_and_gradient_finite(name):
    for scheme in filter(LOSSES[name].fits, (LABELS, REGIONS)):
        logits, target = problem(scheme)
        for size in (0.0, 100.0, 1e4):
            value, gradient = value_and_gradient(build_loss(name, scheme, False), size * logits.float().sign(), target)
            assert torch.isfinite(value)
            assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_loses_nothing_but_the_logits_digits(name, dtype):
    scheme = ONE_CLASS if LOSSES[name].for_labels else ONE_REGION
    logits, target = problem(scheme, (16, 16, 16))
    logits = logits.to(dtype)
    loss = build_loss(name, scheme, False)
    value, gradient = value_and_gradient(loss, logits, target)
    expected, slope = value_and_gradient(loss, logits.double(), target)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), abs=TOLERANCE)
    assert torch.allclose(gradient.double(), slope, atol=TOLERANCE, rtol=0.01)


@pytest.mark.parametrize("name", LOSSES)
def test_no_sum_over_a_large_patch_overflows_float16(name):
    """Which ends at 65,504. The large patch is a small one repeated, so it has the loss of the small one."""
    scheme = ONE_CLASS if LOSSES[name].for_labels else ONE_REGION
    logits, target = problem(scheme, (16, 16, 16), samples=1)
    logits, loss = logits.half(), build_loss(name, scheme, False)
    value, gradient = value_and_gradient(loss, logits.tile(8, 8, 8), target.tile(8, 8, 8))
    assert value.item() == pytest.approx(loss(logits, target).item(), rel=1e-3, abs=1e-3)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", LOSSES)
def test_deep_supervision_weighs_the_loss_of_every_resolution(name):
    scheme = LABELS if LOSSES[name].for_labels else REGIONS
    pyramid = [problem(scheme, space, seed=seed) for seed, space in enumerate(((8, 8), (4, 4), (2, 2)))]
    loss = build_loss(name, scheme, False)
    expected = sum(w * loss(*level) for w, level in zip(supervision_weights(3), pyramid, strict=True))
    found = DeepSupervision(loss)([logits for logits, _ in pyramid], [target for _, target in pyramid])
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)
