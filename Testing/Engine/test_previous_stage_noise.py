"""What happens in training to the labels that a cascade's second stage is given."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from SegAutoPlanLib.preprocessing import TrainingCase
from SegAutoPlanLib.preprocessing.previous_stage import one_hot
from SegAutoPlanLib.training.augmentation.drawing import Subject, draw_changes
from SegAutoPlanLib.training.augmentation.geometry import augmentation_geometry
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS
from SegAutoPlanLib.training.previous_stage import (
    OPERATORS,
    LabelNoise,
    Operator,
    Removal,
    apply_label_noise,
    apply_operator,
    ball,
    draw_label_noise,
)
from SegAutoPlanLib.training.samples import RawSample
from SegAutoPlanLib.training.sampling import cut_patch, draw_corner

DRAWN = 10_000


@pytest.fixture(scope="module")
def drawn() -> list[LabelNoise]:
    rng = np.random.default_rng(0)
    return [draw_label_noise(rng, labels=3) for _ in range(DRAWN)]


def shares(values) -> dict:
    counts = Counter(values)
    return {value: count / sum(counts.values()) for value, count in counts.items()}


def test_as_many_samples_are_changed_as_by_nnunet(drawn):
    # Of a sample that is to be changed, each of the three labels may be spared.
    chosen = 1 - 0.5**3
    assert np.mean([bool(noise.operators) for noise in drawn]) == pytest.approx(0.4 * chosen, abs=0.015)
    assert np.mean([bool(noise.removals) for noise in drawn]) == pytest.approx(0.2 * chosen, abs=0.012)
    both = np.mean([bool(noise.operators and noise.removals) for noise in drawn])
    assert both == pytest.approx(0.4 * 0.2 * chosen**2, abs=0.008)


def test_a_label_is_among_the_changed_ones_with_even_chances(drawn):
    for channel in range(3):
        by_operator = np.mean([channel in [step.channel for step in noise.operators] for noise in drawn])
        by_removal = np.mean([channel in [step.channel for step in noise.removals] for noise in drawn])
        assert by_operator == pytest.approx(0.4 * 0.5, abs=0.013)
        assert by_removal == pytest.approx(0.2 * 0.5, abs=0.01)


def test_labels_come_in_random_order_and_operators_alike(drawn):
    steps = [step for noise in drawn for step in noise.operators]
    assert shares(step.name for step in steps) == pytest.approx(dict.fromkeys(OPERATORS, 0.25), abs=0.02)
    whole = [noise.operators for noise in drawn if len(noise.operators) == 3]
    orders = shares(tuple(step.channel for step in operators) for operators in whole)
    assert len(orders) == 6
    assert max(orders.values()) < 1 / 6 + 0.06
    assert all(len({step.channel for step in noise.operators}) == len(noise.operators) for noise in drawn)


def test_the_radius_is_uniform_from_1_to_8(drawn):
    # A radius r makes a ball of whole voxels: 2 r + 1 across, rounded down.
    across = shares(step.across for noise in drawn for step in noise.operators)
    assert across == pytest.approx(dict.fromkeys(range(3, 17), 1 / 14), abs=0.012)


def masked(*voxels: tuple[int, ...], shape=(9, 9, 9)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(zip(*voxels, strict=True))] = True
    return mask


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_structuring_element_is_a_ball(dimensions):
    for across in range(3, 17):
        element = ball(across, dimensions)
        assert element.shape == (across,) * dimensions
        assert all((element == np.flip(element, axis)).all() for axis in range(dimensions))
        middle = tuple(slice((across - 1) // 2, across // 2 + 1) for _ in range(dimensions))
        assert element[middle].all()
        assert not element[(0,) * dimensions]
    assert ball(3, dimensions).sum() == 1 + 2 * dimensions


def test_dilation_grows_a_voxel_to_the_ball():
    for across in (3, 5, 7):
        grown = apply_operator(masked((4, 4, 4)), "dilate", across)
        inside = tuple([slice(4 - across // 2, 5 + across // 2)] * 3)
        assert (grown[inside] == ball(across, 3)).all()
        assert grown.sum() == ball(across, 3).sum()


def test_erosion_leaves_the_middle_of_a_ball_and_does_not_begin_at_the_edges():
    mask = np.zeros((9, 9, 9), bool)
    mask[2:7, 2:7, 2:7] = ball(5, 3)
    assert (apply_operator(mask, "erode", 5) == masked((4, 4, 4))).all()
    whole = np.ones((6, 7), bool)
    assert apply_operator(whole, "erode", 5).all()


def test_closing_fills_a_hole_and_opening_removes_a_speck():
    mask = np.zeros((16, 16), bool)
    mask[4:12, 4:12] = True
    holed, specked = mask.copy(), mask.copy()
    holed[7, 7] = False
    specked[1, 14] = True
    assert (apply_operator(holed, "close", 3) == mask).all()
    opened = apply_operator(specked, "open", 3)
    assert not opened[1, 14]
    assert opened[4:12, 4:12].sum() == 64 - 4  # the disk does not reach into the corners


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("across", [3, 4, 9, 16])
def test_operators_are_those_of_the_definition(name, across):
    """Voxel by voxel, by nnU-Net's place of the ball: one voxel more above than below where it is even."""
    rng = np.random.default_rng(across)
    mask = np.zeros((14, 19), bool)
    mask[3:, 5:15] = rng.random((11, 10)) < 0.4
    offsets = np.argwhere(ball(across, 2)) - (across - 1) // 2

    def dilated(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, across)
        shifted = [np.roll(padded, tuple(-offset), (0, 1)) for offset in offsets]
        return np.any(shifted, axis=0)[across:-across, across:-across]

    def eroded(values: np.ndarray) -> np.ndarray:
        return ~dilated(~values)

    expected = {
        "dilate": dilated,
        "erode": eroded,
        "close": lambda values: eroded(dilated(values)),
        "open": lambda values: dilated(eroded(values)),
    }[name](mask)
    np.testing.assert_array_equal(apply_operator(mask, name, across), expected)


def test_what_a_label_gains_the_others_lose_and_nothing_else():
    channels = np.zeros((3, 9, 9), np.float32)
    channels[0, 4, 3], channels[1, 4, 4], channels[2, 0, 0] = 1, 1, 1
    changed = apply_label_noise(channels, LabelNoise((Operator(0, "dilate", 3),)))
    assert changed[0].sum() == 5
    assert changed[1].sum() == 0
    assert (changed[2] == channels[2]).all()
    assert channels[1, 4, 4] == 1
    shrunk = apply_label_noise(channels, LabelNoise((Operator(0, "erode", 3),)))
    assert shrunk[0].sum() == 0
    assert shrunk[1:].sum() == 2


def test_one_component_is_removed_if_it_is_small_and_nothing_takes_its_place():
    channels = np.zeros((2, 10, 10), np.float32)
    channels[0, :4, :4] = 1  # 16 %: too large
    channels[0, 6, 6] = channels[0, 7, 7] = 1  # they touch at a corner
    channels[0, 9, 0] = 1
    channels[1, 5, 5] = 1
    for chosen, left in ((0.0, 16 + 1), (0.99, 16 + 2)):
        changed = apply_label_noise(channels, LabelNoise(removals=(Removal(0, chosen),)))
        assert changed[0].sum() == left
        assert (changed[1] == channels[1]).all()
    only_large = channels * (np.arange(10) < 4)[:, None]
    assert (apply_label_noise(only_large, LabelNoise(removals=(Removal(0, 0.5),))) == only_large).all()


def test_no_label_at_all_is_left_alone():
    nothing = np.zeros((2, 6, 6, 6), np.float32)
    noise = LabelNoise(tuple(Operator(0, name, 5) for name in OPERATORS), (Removal(1, 0.3),))
    assert (apply_label_noise(nothing, noise) == 0).all()


def test_outside_the_image_no_label_is_set():
    labels = np.array([[-1, 0], [1, 2]], np.int16)
    np.testing.assert_array_equal(one_hot(labels, (1, 2)), [[[0, 0], [1, 0]], [[0, 0], [0, 1]]])


def test_the_previous_labels_are_cut_at_the_same_place():
    labels = np.arange(10 * 12 * 14, dtype=np.int16).reshape(10, 12, 14)
    case = TrainingCase(labels[None].astype(np.float32), labels, {}, labels.astype(np.uint16))
    for seed in range(10):
        lower = draw_corner(case, np.random.default_rng(seed), (12, 8, 8), (8, 8, 8), forced=False)
        patch = cut_patch(case, lower, (12, 8, 8))
        np.testing.assert_array_equal(patch.previous, patch.labels)
        assert patch.previous.min() == -1


@pytest.mark.parametrize("patch", [(16, 16, 16), (6, 24, 24), (24, 16)])
def test_the_previous_labels_go_through_space_as_the_labels_do(patch):
    preset = AUGMENTATIONS["default"]
    geometry = augmentation_geometry(patch, preset.space)
    rng = np.random.default_rng(0)
    coarse = rng.integers(-1, 3, tuple(-(-size // 4) for size in geometry.crop_size))
    labels = np.kron(coarse, np.ones((4,) * len(patch)))[tuple(map(slice, geometry.crop_size))].astype(np.int16)
    image = torch.from_numpy(rng.normal(size=(1, *geometry.crop_size)).astype(np.float32))
    subject = Subject(1, geometry, tuple(range(len(patch))))
    moved = 0
    for seed in range(12):
        changes = draw_changes(preset.space, preset.steps, subject, np.random.default_rng(seed))
        both = RawSample(image, torch.from_numpy(np.stack([labels, labels])), changes, patch, (), (1, 2))
        alone = RawSample(image, torch.from_numpy(labels[None]), changes, patch, ())
        (seen, found), (seen_alone, found_alone) = both.augmented(), alone.augmented()
        assert torch.equal(found, found_alone)
        assert torch.equal(seen[:1], seen_alone)
        assert torch.equal(seen[1:], torch.stack([found == 1, found == 2]).float())
        moved += not np.array_equal(found, labels[tuple(map(slice, patch))])
    assert moved
