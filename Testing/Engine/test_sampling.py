"""Patches lie where nnU-Net's would: around foreground, around what is annotated, or anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from SegAutoPlanLib.preprocessing import TrainingCase
from SegAutoPlanLib.training.augmentation.geometry import augmentation_geometry
from SegAutoPlanLib.training.sampling import (
    OVERSAMPLINGS,
    Patch,
    cut_patch,
    draw_corner,
    must_hold_foreground,
    positions_of_rank,
)


@pytest.mark.parametrize(("batch", "forced"), [(2, [1]), (3, [2]), (12, [8, 9, 10, 11])])
def test_the_last_third_of_a_batch_holds_foreground(batch, forced):
    assert [j for j in range(batch) if must_hold_foreground(j, batch, 0.33)] == forced


def test_the_ranks_of_a_distributed_run_share_out_each_batch():
    assert [list(positions_of_rank(5, rank, world=2)) for rank in range(2)] == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("patch", "crop", "in_plane"),
    # Read off the real nnU-Net.
    [
        ((128, 128, 128), (205, 205, 205), False),
        ((40, 56, 40), (73, 80, 64), False),
        ((80, 192, 160), (194, 289, 210), False),
        ((20, 256, 224), (20, 301, 301), True),
        ((56, 40), (65, 65), False),
        ((512, 512), (602, 602), False),
        ((320, 192), (422, 225), False),
    ],
)
def test_the_crop_before_rotation_is_nnunets(patch, crop, in_plane):
    geometry = augmentation_geometry(patch)
    assert geometry.crop_size == crop
    assert geometry.in_plane_only == in_plane


def one_case(shape=(10, 12, 14)) -> TrainingCase:
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    segmentation = np.zeros(shape, np.int16)
    segmentation[9, 11, 13] = 1
    return TrainingCase(data, segmentation, {1: np.array([[9, 11, 13]])})


def draw_patch(case: TrainingCase, rng: np.random.Generator, crop, final, forced: bool) -> Patch:
    return cut_patch(case, draw_corner(case, rng, crop, final, forced), crop)


def test_a_forced_patch_holds_its_voxel_even_at_the_border():
    case = one_case()
    for seed in range(20):
        patch = draw_patch(case, np.random.default_rng(seed), (8, 8, 8), (8, 8, 8), forced=True)
        assert (patch.labels == 1).any()


ANNOTATED = (-1, 0, 1)


def slab_case(foreground: bool = True) -> TrainingCase:
    """One of 33 slices is annotated; with foreground in it, or without. The ignore label is 2."""
    segmentation = np.full((33, 30, 30), 2, np.int16)
    segmentation[16] = 0
    if foreground:
        segmentation[16, 4:8, 4:8] = 1
    locations = {1: np.argwhere(segmentation == 1), ANNOTATED: np.argwhere(segmentation < 2)}
    return TrainingCase(np.zeros((1, 33, 30, 30), np.float32), segmentation, locations)


def patches_of(case: TrainingCase, forced: bool, number: int = 200) -> list[np.ndarray]:
    return [
        draw_patch(case, np.random.default_rng(seed), (14, 14, 14), (8, 8, 8), forced).labels for seed in range(number)
    ]


def middle(labels: np.ndarray) -> np.ndarray:
    """What is left of a crop of 14 after augmentation."""
    return labels[3:11, 3:11, 3:11]


def test_every_patch_of_a_case_annotated_by_three_percent_holds_an_annotated_voxel():
    case = slab_case()
    assert (case.segmentation < 2).mean() == pytest.approx(0.03, abs=0.001)
    annotated = [np.isin(middle(labels), (0, 1)).any() for labels in patches_of(case, forced=False)]
    assert all(annotated)
    # They lie around any annotated voxel: most see nothing of the small foreground.
    assert np.mean([(middle(labels) == 1).any() for labels in patches_of(case, forced=False)]) < 0.5


def test_forced_patches_lie_around_foreground_and_not_around_what_is_only_annotated():
    assert all((middle(labels) == 1).any() for labels in patches_of(slab_case(), forced=True))


def test_forced_patches_lie_around_what_is_annotated_where_there_is_no_foreground():
    assert all((middle(labels) == 0).any() for labels in patches_of(slab_case(foreground=False), forced=True))


def test_a_case_without_any_annotated_voxel_is_cropped_at_random():
    case = slab_case()
    blank = TrainingCase(
        case.data, np.full_like(case.segmentation, 2), {1: np.empty((0, 3)), ANNOTATED: np.empty((0, 3))}
    )
    corners = {draw_corner(blank, np.random.default_rng(seed), (8,) * 3, (8,) * 3, forced=False) for seed in range(50)}
    assert len(corners) > 40


def test_a_coin_per_sample_forces_foreground_as_often_as_asked_for_anywhere_in_the_batch():
    rng = np.random.default_rng(0)
    forced = np.array([[OVERSAMPLINGS["coin"](place, 4, 0.33, rng) for place in range(4)] for _ in range(2500)])
    np.testing.assert_allclose(forced.mean(0), 0.33, atol=0.03)
    assert OVERSAMPLINGS["last"](3, 4, 0.33, rng) is True
    assert OVERSAMPLINGS["last"](0, 4, 0.33, rng) is False


def test_a_patch_larger_than_the_image_is_padded_with_zero_and_minus_one():
    patch = draw_patch(one_case(), np.random.default_rng(0), (16, 16, 16), (16, 16, 16), forced=False)
    inside = patch.labels >= 0
    assert inside.sum() == 10 * 12 * 14
    assert (patch.image[0][~inside] == 0).all()
    assert sorted(patch.image[0][inside]) == list(range(10 * 12 * 14))


def test_random_patches_reach_every_voxel():
    seen = np.zeros(10 * 12 * 14, bool)
    for seed in range(5000):
        patch = draw_patch(one_case(), np.random.default_rng(seed), (6, 6, 6), (6, 6, 6), forced=False)
        seen[patch.image.astype(int).ravel()] = True
    assert seen.all()
