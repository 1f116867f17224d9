"""What the drawn changes make of an image and its labels, beside nnU-Net's recorded patches."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from SegAutoPlanLib.training.augmentation import changes
from SegAutoPlanLib.training.augmentation.apply import apply_changes
from SegAutoPlanLib.training.augmentation.changes import Bump, Changes, SpaceChange
from SegAutoPlanLib.training.augmentation.geometry import augmentation_geometry
from SegAutoPlanLib.training.augmentation.intensity import blur_kernel, bump_weights, change_values
from SegAutoPlanLib.training.augmentation.label_reading import read_labels
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS

from .drawn_changes import drawn

RECORDED = np.load(Path(__file__).resolve().parents[1] / "Fixtures" / "augmentation.npz")


def recorded_image(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).normal(size=(1, *shape)).astype(np.float32))


def recorded_labels(shape: tuple[int, ...]) -> torch.Tensor:
    labels = np.zeros(shape, np.int16)
    labels[tuple(slice(extent // 4, extent // 2 + 2) for extent in shape)] = 1
    labels[tuple(slice(extent // 2, extent // 4 * 3 + 1) for extent in shape)] = 2
    labels[0] = -1
    return torch.from_numpy(labels)[None]


BUMP = Bump((0.3 * 9, -0.2 * 10, 1.2 * 12), (3.0, 4.0, 9.0))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("blur", changes.Blurred(((0.5, 0.77, 1.0),))),
        ("gamma", changes.GammaCorrected((0.8,), inverted=False)),
        ("gamma_inverted", changes.GammaCorrected((0.8,), inverted=True)),
        ("contrast", changes.Contrasted((1.2,), keeps_range=True)),
        ("contrast_unclipped", changes.Contrasted((1.2,), keeps_range=False)),
        ("low_resolution", changes.LowResolved((0.63,), (0, 1, 2))),
        ("sharpening", changes.Sharpened((0.6,))),
        ("median", changes.MedianFiltered((4,))),
        ("local_gamma", changes.GammaCorrectedLocally((BUMP,), (0.3,))),
    ],
)
def test_each_change_of_values_gives_what_nnunets_gives(name, change):
    image = recorded_image((9, 10, 12))
    change_values(change, image)
    np.testing.assert_allclose(image.numpy(), RECORDED[name], atol=5e-6)


def test_a_gradient_is_nnunets_bump_times_its_strength():
    image = torch.zeros(1, 9, 10, 12)
    change_values(changes.GradientAdded((BUMP,), (-2.0,)), image)
    np.testing.assert_allclose(image[0].numpy(), -2 * RECORDED["bump"], atol=1e-6)
    assert torch.aminmax(bump_weights(BUMP, image[0])) == (0, 1)


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize(
    ("crop", "patch", "angles"), [((9, 11, 10), (5, 7, 6), (0.3, -0.2, 0.5)), ((10, 9), (6, 5), (0.7,))]
)
def test_turned_and_zoomed_patches_are_nnunets(crop, patch, angles, nearest):
    change = SpaceChange(angles, (1.3,) * len(patch), None, False, nearest, nearest)
    image, labels = apply_changes(recorded_image(crop), recorded_labels(crop), Changes(change, ()), patch)
    key = f"space_{len(patch)}_{'nearest' if nearest else 'bilinear'}"
    np.testing.assert_allclose(image.numpy(), RECORDED[f"{key}_image"], atol=1e-5)
    np.testing.assert_array_equal(labels[0].numpy(), RECORDED[f"{key}_labels"])


def test_slices_changed_in_plane_are_changed_alike():
    crop, patch = (3, 11, 10), (3, 7, 6)
    image, labels = recorded_image(crop), recorded_labels(crop)
    flat = SpaceChange((0.4,), (0.8, 0.8), None, True, False, False)
    whole, named = apply_changes(image, labels, Changes(flat, ()), patch)
    for z in range(3):
        alone = dataclasses.replace(flat, in_plane_only=False)
        slice_image, slice_labels = apply_changes(image[:, z], labels[:, z], Changes(alone, ()), patch[1:])
        assert torch.equal(whole[:, z], slice_image)
        assert torch.equal(named[:, z], slice_labels)


@pytest.mark.parametrize("size", [(7, 8, 9), (8, 9)])
def test_labels_are_those_whose_interpolated_indicator_is_the_largest(size):
    rng = np.random.default_rng(3)
    labels = torch.from_numpy(rng.integers(-1, 6, (2, *size)).astype(np.int16))
    places = [torch.from_numpy(rng.uniform(-2, extent + 1, (30, 20)).astype(np.float32)) for extent in size]
    grid = torch.stack([(2 * p + 1) / extent - 1 for p, extent in zip(places, size, strict=True)][::-1], -1)
    grid = grid.reshape(1, *(1,) * (len(size) - 2), *grid.shape)
    scores = {
        label: grid_sample((labels == label).float()[None], grid, align_corners=False)[0].view(2, 30, 20)
        for label in range(6)
    }
    scores[-1] = 1 - sum(scores.values())
    names = sorted(scores)
    stacked = torch.stack([scores[name] for name in names])
    first, second = stacked.topk(2, dim=0).values
    clear = first - second > 1e-4
    expected = torch.tensor(names, dtype=torch.int16)[stacked.argmax(0)]
    read = read_labels(labels, places, interpolated=True)
    assert clear.float().mean() > 0.99
    assert torch.equal(read[clear], expected[clear])


def test_all_label_maps_are_changed_alike():
    crop, patch = (9, 11, 10), (5, 7, 6)
    labels = recorded_labels(crop)
    two = torch.cat([labels, 2 - labels.clamp(min=0)])
    for name in ("default", "order0_labels"):
        for sample in drawn(name, patch, channels=1, samples=40):
            _, alone = apply_changes(recorded_image(crop), labels, sample, patch)
            _, named = apply_changes(recorded_image(crop), two, sample, patch)
            assert torch.equal(named[:1], alone)


def test_bending_moves_as_far_as_it_says_and_nowhere_on_average():
    size = (12, 14, 16)
    ramp = torch.stack(torch.meshgrid(*(torch.arange(1.0, extent + 9) for extent in size), indexing="ij"))
    labels = torch.zeros((1, *ramp.shape[1:]), dtype=torch.int16)
    elastic = changes.ElasticChange(3, (3.0, 3.0, 3.0), (1.5, 1.0, 0.5))
    change = SpaceChange((0.0,) * 3, (1.0,) * 3, elastic, False, False, False)
    bent_ramp, _ = apply_changes(ramp, labels, Changes(change, ()), size)
    still, _ = apply_changes(ramp, labels, Changes(None, ()), size)
    moved = (bent_ramp - still).flatten(1)
    np.testing.assert_allclose(moved.mean(1), 0, atol=1e-3)
    reach = moved.amax(1) - moved.amin(1)
    for axis, strength in enumerate(elastic.strengths_voxels):
        assert strength < reach[axis] < 2 * strength


@pytest.mark.parametrize(("sigma", "length"), [(0.3, 3), (0.5, 3), (0.8, 5), (0.9, 5), (1.0, 7), (1.5, 9)])
def test_a_blurring_kernel_is_the_odd_length_next_to_six_deviations(sigma, length):
    half = blur_kernel(sigma)
    assert 2 * len(half) - 1 == length
    assert half[0] + 2 * sum(half[1:]) == pytest.approx(1)


def test_noise_is_a_standard_deviation():
    image = torch.zeros(2, 30, 30, 30)
    change_values(changes.AddedNoise(0.1, seed=5), image)
    assert image.std().item() == pytest.approx(0.1, rel=0.02)
    assert image.mean().item() == pytest.approx(0, abs=2e-3)


def test_boxes_become_their_mean_and_brightness_its_factor():
    image = recorded_image((4, 4, 4))
    before = image.clone()
    change_values(changes.Blanked(((changes.Box((0, 1, 1), (2, 3, 4)),),)), image)
    inside = (0, slice(0, 2), slice(1, 3), slice(1, 4))
    assert torch.allclose(image[inside], before[inside].mean())
    changed = image != before
    changed[inside] = False
    assert not changed.any()
    change_values(changes.Brightened((1.25,)), image)
    change_values(changes.Shifted((0.5,)), image)
    assert image[0, 3, 3, 3] == before[0, 3, 3, 3] * 1.25 + 0.5


def test_image_and_labels_move_together():
    image = torch.arange(27.0).reshape(1, 3, 3, 3)
    labels = image.to(torch.int16)
    moves = (changes.QuarterTurn((0, 2), 3), changes.AxisOrder((2, 0, 1)), changes.Flip((0, 1)))
    moved, named = apply_changes(image, labels, Changes(None, moves), (3, 3, 3))
    assert torch.equal(moved.to(torch.int16), named)
    assert not torch.equal(named, labels)


def test_masked_channels_are_zero_outside():
    image, labels = torch.ones(2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int16)
    labels[0, :2] = -1
    seen, _ = apply_changes(image, labels, Changes(None, ()), (4, 4), masked_channels=(1,))
    assert seen[0].sum() == 16
    assert seen[1].sum() == 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT TESTED: there is no CUDA device to augment on")
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_graphics_card_gives_what_the_processor_gives(name):
    preset, patch = AUGMENTATIONS[name], (16, 20, 16)
    geometry = augmentation_geometry(patch, preset.space)
    image, labels = recorded_image(geometry.crop_size), recorded_labels(geometry.crop_size)
    for sample in drawn(name, patch, channels=1, samples=40):
        # Noise is another sequence on another device.
        same = Changes(sample.space, tuple(step for step in sample.steps if not isinstance(step, changes.AddedNoise)))
        here = apply_changes(image, labels, same, patch)
        there = apply_changes(image.cuda(), labels.cuda(), same, patch)
        assert torch.allclose(here[0], there[0].cpu(), atol=1e-3)
        assert (here[1] != there[1].cpu()).float().mean() < 1e-3
