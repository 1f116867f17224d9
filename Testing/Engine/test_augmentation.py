"""Augmentation changes as many patches as nnU-Net's does, and by as much."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kstest

from SegAutoPlanLib.training.augmentation import changes
from SegAutoPlanLib.training.augmentation.changes import Changes
from SegAutoPlanLib.training.augmentation.geometry import augmentation_geometry
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS

from .drawn_changes import drawn


@pytest.fixture(scope="module")
def default() -> list[Changes]:
    return drawn("default")


@pytest.fixture(scope="module")
def da5() -> list[Changes]:
    return drawn("da5")


def steps(sample: Changes, kind: type, **fields: object) -> list:
    return [
        step
        for step in sample.steps
        if isinstance(step, kind) and all(getattr(step, name) == value for name, value in fields.items())
    ]


def share(samples: Sequence[Changes], happened: Callable[[Changes], object]) -> float:
    return sum(bool(happened(sample)) for sample in samples) / len(samples)


def values_of(samples: Sequence[Changes], kind: type, field: str, **fields: object) -> list:
    """What the changed channels got."""
    found = [getattr(step, field) for sample in samples for step in steps(sample, kind, **fields)]
    return [value for values in found for value in values if value is not None and value != ()]


def rotated(sample: Changes) -> bool:
    return sample.space is not None and any(sample.space.angles)


def scaled(sample: Changes) -> bool:
    return sample.space is not None and any(scale != 1 for scale in sample.space.scales)


def bent(sample: Changes) -> bool:
    return sample.space is not None and sample.space.elastic is not None


def assert_uniform(values: Sequence[float], lowest: float, highest: float) -> None:
    assert min(values) >= lowest
    assert max(values) <= highest
    assert kstest(values, "uniform", (lowest, highest - lowest)).pvalue > 1e-4


def assert_factors(values: Sequence[float], lowest: float, highest: float) -> None:
    """As often below 1 as above, and uniform on either side."""
    below, above = [value for value in values if value < 1], [value for value in values if value >= 1]
    assert len(below) / len(values) == pytest.approx(0.5, abs=0.03)
    assert_uniform(below, lowest, 1)
    assert_uniform(above, 1, highest)


HAPPENS_BY_DEFAULT = {
    "rotation": (rotated, 0.2),
    "scaling": (scaled, 0.2),
    "elastic": (bent, 0.0),
    "noise": (lambda s: steps(s, changes.AddedNoise), 0.1),
    "blur": (lambda s: steps(s, changes.Blurred), 0.2),
    "brightness": (lambda s: steps(s, changes.Brightened), 0.15),
    "contrast": (lambda s: steps(s, changes.Contrasted), 0.15),
    "low resolution": (lambda s: steps(s, changes.LowResolved), 0.25),
    "inverted gamma": (lambda s: steps(s, changes.GammaCorrected, inverted=True), 0.1),
    "gamma": (lambda s: steps(s, changes.GammaCorrected, inverted=False), 0.3),
    **{
        f"mirrored axis {axis}": (lambda s, axis=axis: any(axis in flip.axes for flip in steps(s, changes.Flip)), 0.5)
        for axis in range(3)
    },
}


@pytest.mark.parametrize("name", HAPPENS_BY_DEFAULT)
def test_each_change_happens_as_often_as_in_nnunet(default, name):
    happened, expected = HAPPENS_BY_DEFAULT[name]
    assert share(default, happened) == pytest.approx(expected, abs=0.01)


def test_changes_happen_independently_of_each_other(default):
    names = ["rotation", "scaling", "blur", "gamma", "mirrored axis 0", "mirrored axis 1"]
    for first, second in pairwise(names):
        (one, p), (other, q) = HAPPENS_BY_DEFAULT[first], HAPPENS_BY_DEFAULT[second]
        assert share(default, lambda s, one=one, other=other: one(s) and other(s)) == pytest.approx(p * q, abs=0.01)


def test_half_the_channels_are_blurred_or_shrunk_and_all_get_the_rest(default):
    for kind, field, expected in (
        (changes.Blurred, "sigmas_voxels", 0.5),
        (changes.LowResolved, "zooms", 0.5),
        (changes.Brightened, "factors", 1),
        (changes.Contrasted, "factors", 1),
        (changes.GammaCorrected, "exponents", 1),
    ):
        count = sum(len(steps(sample, kind)) for sample in default)
        assert len(values_of(default, kind, field)) / (2 * count) == pytest.approx(expected, abs=0.03), kind.__name__


def test_angles_and_scales_are_uniform(default):
    angles = [angle for sample in default if rotated(sample) for angle in sample.space.angles]
    assert_uniform(angles, -math.radians(30), math.radians(30))
    assert all(len(set(sample.space.scales)) == 1 for sample in default if scaled(sample))
    assert_uniform([sample.space.scales[0] for sample in default if scaled(sample)], 0.7, 1.4)


def test_noise_has_a_deviation_of_up_to_a_tenth(default):
    assert_uniform([step.deviation for sample in default for step in steps(sample, changes.AddedNoise)], 0, 0.1)


def test_blur_draws_its_width_per_channel_and_axis(default):
    widths = values_of(default, changes.Blurred, "sigmas_voxels")
    assert all(len(set(per_axis)) == 3 for per_axis in widths)
    assert_uniform([width for per_axis in widths for width in per_axis], 0.5, 1)


def test_factors_are_drawn_per_channel_with_a_coin_for_either_side_of_one(default):
    assert_factors(values_of(default, changes.Brightened, "factors"), 0.75, 1.25)
    assert_factors(values_of(default, changes.Contrasted, "factors"), 0.75, 1.25)
    assert_factors(values_of(default, changes.GammaCorrected, "exponents"), 0.7, 1.5)
    both = [step.factors for sample in default for step in steps(sample, changes.Brightened)]
    assert all(first != second for first, second in both)


def test_low_resolution_has_one_zoom_for_all_axes(default):
    assert_uniform(values_of(default, changes.LowResolved, "zooms"), 0.5, 1)
    assert {step.axes for sample in default for step in steps(sample, changes.LowResolved)} == {(0, 1, 2)}


def test_contrast_stays_within_the_range_from_before(default):
    assert all(step.keeps_range for sample in default for step in steps(sample, changes.Contrasted))


def test_anisotropic_patches_are_changed_in_plane_unless_a_recipe_will_not():
    flat = (4, 24, 24)
    samples = drawn("default", flat, samples=2000)
    spaces = [sample.space for sample in samples if sample.space is not None]
    assert all(space.in_plane_only and len(space.angles) == 1 and len(space.scales) == 2 for space in spaces)
    assert_uniform([space.angles[0] for space in spaces if any(space.angles)], -math.pi, math.pi)
    assert {step.axes for sample in samples for step in steps(sample, changes.LowResolved)} == {(1, 2)}
    spaces = [sample.space for sample in drawn("no_dummy_2d", flat, samples=500) if sample.space is not None]
    assert all(not space.in_plane_only and len(space.angles) == 3 for space in spaces)
    assert augmentation_geometry(flat, AUGMENTATIONS["no_dummy_2d"].space).crop_size[0] > 4


def test_elastic_deformation_is_a_preset_of_its_own():
    samples = drawn("elastic", samples=4000)
    assert share(samples, bent) == pytest.approx(0.2, abs=0.02)
    elastic = [sample.space.elastic for sample in samples if bent(sample)]
    assert_uniform([change.widths_voxels[0] for change in elastic], 0, 16 / 4)
    shares = [
        strength / width
        for change in elastic
        for strength, width in zip(change.strengths_voxels, change.widths_voxels, strict=True)
    ]
    assert_uniform(shares, 1 / 8, 1 / 2)


@pytest.mark.parametrize(
    ("name", "image", "labels"),
    [("default", 0, 0), ("order0_labels", 0, 1), ("da5_order0_labels", 0, 1), ("da5_order0", 1, 1)],
)
def test_order_0_takes_the_nearest_voxel(name, image, labels):
    spaces = [sample.space for sample in drawn(name, samples=100) if sample.space is not None]
    assert {(space.nearest_image, space.nearest_labels) for space in spaces} == {(image, labels)}


def test_only_the_first_axes_are_mirrored_where_a_recipe_says_so():
    for patch, axes in (((8, 8, 8), {0, 1}), ((8, 8), {0})):
        samples = drawn("default", patch, samples=200, mirrored="all_but_last")
        assert {axis for sample in samples for flip in steps(sample, changes.Flip) for axis in flip.axes} == axes


def test_only_what_a_graphics_card_can_do_is_given_to_it():
    suited = {name for name, preset in AUGMENTATIONS.items() if preset.suits_a_gpu}
    assert suited == {"default", "none", "order0_labels", "no_dummy_2d"}


def test_without_augmentation_nothing_but_mirroring_is_left():
    samples = drawn("none", samples=300)
    assert all(sample.space is None for sample in samples)
    assert {type(step) for sample in samples for step in sample.steps} == {changes.Flip}


HAPPENS_IN_DA5 = {
    # Each of three angles is 0 with a coin.
    "rotation": (rotated, 0.4 * 7 / 8),
    "scaling": (scaled, 0.2),
    "quarter turn": (lambda s: steps(s, changes.QuarterTurn), 0.5),
    "axis order": (lambda s: steps(s, changes.AxisOrder), 0.5),
    "median": (lambda s: steps(s, changes.MedianFiltered), 0.1),
    "blur": (lambda s: steps(s, changes.Blurred), 0.1),
    "median and blur": (lambda s: steps(s, changes.MedianFiltered) and steps(s, changes.Blurred), 0),
    "noise": (lambda s: steps(s, changes.AddedNoise), 0.1),
    "brightness": (lambda s: steps(s, changes.Shifted), 0.1),
    "contrast within the range": (lambda s: steps(s, changes.Contrasted, keeps_range=True), 0.1),
    "contrast beyond it": (lambda s: steps(s, changes.Contrasted, keeps_range=False), 0.1),
    "low resolution": (lambda s: steps(s, changes.LowResolved), 0.15),
    "gamma": (lambda s: steps(s, changes.GammaCorrected), 0.19),
    "upright gamma": (lambda s: steps(s, changes.GammaCorrected, inverted=False), 0),
    "blank boxes": (lambda s: steps(s, changes.Blanked), 0.4),
    "gradient": (lambda s: steps(s, changes.GradientAdded), 0.3),
    "local gamma": (lambda s: steps(s, changes.GammaCorrectedLocally), 0.3),
    "sharpening": (lambda s: steps(s, changes.Sharpened), 0.2),
}


@pytest.mark.parametrize("name", HAPPENS_IN_DA5)
def test_each_change_of_da5_happens_as_often_as_in_nnunet(da5, name):
    happened, expected = HAPPENS_IN_DA5[name]
    assert share(da5, happened) == pytest.approx(expected, abs=0.012)


def test_the_ranges_of_da5_are_nnunets(da5):
    scales = [scale for sample in da5 if scaled(sample) for scale in sample.space.scales]
    assert_uniform(scales, 0.7, 1.43)
    assert {edge for edge in values_of(da5, changes.MedianFiltered, "edges_voxels")} == {2, 3, 4, 5, 6, 7}
    widths = values_of(da5, changes.Blurred, "sigmas_voxels")
    assert all(len(set(per_axis)) == 1 for per_axis in widths)
    assert_uniform([per_axis[0] for per_axis in widths], 0.3, 1.5)
    assert kstest(values_of(da5, changes.Shifted, "shifts"), "norm", (0, 0.5)).pvalue > 1e-4
    assert_factors(values_of(da5, changes.Contrasted, "factors"), 0.5, 2)
    assert_uniform(values_of(da5, changes.LowResolved, "zooms"), 0.25, 1)
    assert_uniform(values_of(da5, changes.Sharpened, "strengths"), 0.1, 1)
    strengths = values_of(da5, changes.GradientAdded, "strengths")
    assert np.mean([strength > 0 for strength in strengths]) == pytest.approx(0.5, abs=0.03)
    assert_uniform([abs(strength) for strength in strengths], 1, 5)
    exponents = values_of(da5, changes.GammaCorrectedLocally, "exponents")
    assert_uniform([exponent for exponent in exponents if exponent < 1], 0.01, 0.8)
    assert_uniform([exponent for exponent in exponents if exponent > 1], 1.5, 4)
    bumps = values_of(da5, changes.GradientAdded, "bumps")
    assert_uniform([centre / 16 for bump in bumps for centre in bump.centres_voxels], -0.5, 1.5)
    assert_uniform([math.log(width) for bump in bumps for width in bump.widths_voxels], math.log(2), math.log(16))
    boxes = values_of(da5, changes.Blanked, "boxes")
    assert {len(of_channel) for of_channel in boxes} == {1, 2, 3, 4}
    edges = {high - low for some in boxes for box in some for low, high in zip(box.lower, box.upper, strict=True)}
    assert edges == {1, 2, 3, 4}


def test_da5_turns_only_axes_of_equal_length():
    samples = drawn("da5", (12, 16, 12), samples=300)
    assert {step.axes for sample in samples for step in steps(sample, changes.QuarterTurn)} == {(0, 2)}
    assert {step.axes for sample in samples for step in steps(sample, changes.AxisOrder)} == {(0, 1, 2), (2, 1, 0)}


def test_the_crop_of_da5_is_larger_because_it_shrinks_more():
    assert augmentation_geometry((40, 56, 40), AUGMENTATIONS["da5"].space).crop_size == (89, 97, 78)
