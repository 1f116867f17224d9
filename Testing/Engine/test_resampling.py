"""What resampling promises: scipy's zoom for values, batchgenerators 0.25.5 for labels, torch for its own family."""

from __future__ import annotations

import numpy as np
import pytest
from batchgenerators.augmentations.utils import resize_segmentation
from scipy import ndimage

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.preprocessing import resample
from SegAutoPlanLib.preprocessing.axis_matrix import axis_matrix
from SegAutoPlanLib.preprocessing.grid import (
    linear_neighbours,
    nearest_indices,
    resized_positions,
    separate_axis,
    target_shape,
)
from SegAutoPlanLib.preprocessing.resampling import no_resampling
from SegAutoPlanLib.preprocessing.torch_resampling import resample_linear

ISOTROPIC, THICK = (1.0, 1.0, 1.0), (5.0, 1.0, 1.0)
SIZES = [
    ((20, 24, 18), (30, 17, 40)),
    ((20, 24, 18), (40, 48, 36)),
    ((7, 33, 5), (3, 12, 5)),
    ((1, 20, 31), (1, 45, 16)),
    ((2, 2, 2), (9, 1, 3)),
]


def zoomed(array: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    factors = [new / old for old, new in zip(array.shape, shape, strict=True)]
    result = ndimage.zoom(array.astype(float), factors, order=order, mode="nearest", grid_mode=True)
    return np.clip(result, array.min(), array.max())


def volume(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32) * 3


def labels(shape: tuple[int, ...], seed: int, smooth: float) -> np.ndarray:
    """Values -1 to 3, in blobs or at random."""
    noise = np.random.default_rng(seed).normal(size=(5, *shape))
    return (ndimage.gaussian_filter(noise, (0, smooth, smooth, smooth)).argmax(axis=0) - 1).astype(np.int16)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize(("shape", "new_shape"), SIZES)
def test_values_equal_scipys_zoom_and_stay_in_range(shape, new_shape, order):
    array = volume(shape)
    result = resample(array, new_shape, ISOTROPIC, ISOTROPIC, order=order)
    assert result.dtype == np.float32
    for channel, ours in zip(array, result, strict=True):
        np.testing.assert_allclose(ours, zoomed(channel, new_shape, order), atol=1e-5)
        assert channel.min() <= ours.min()
        assert ours.max() <= channel.max()


def test_large_values_are_as_exact():
    array = volume((12, 20, 14)) * 10_000
    result = resample(array, (18, 13, 20), ISOTROPIC, ISOTROPIC)
    np.testing.assert_allclose(result[0], zoomed(array[0], (18, 13, 20), 3), rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_coarse_axis_takes_the_nearest_slice_and_the_others_a_spline_a_slice(axis):
    spacing = tuple(5.0 if a == axis else 1.0 for a in range(3))
    shape, new_shape = np.array((12, 12, 12)), np.array((20, 20, 20))
    new_shape[axis] = 30
    array = volume(tuple(shape))
    result = resample(array, new_shape, spacing, ISOTROPIC)
    plane = tuple(np.delete(new_shape, axis))
    slices = np.moveaxis(array[0], axis, 0)
    for position, ours in enumerate(np.moveaxis(result[0], axis, 0)):
        nearest = int(np.floor((position + 0.5) * 12 / 30))
        np.testing.assert_allclose(ours, zoomed(slices[nearest], plane, 3), atol=1e-5)


@pytest.mark.parametrize(("size", "new_size"), [(7, 7), (7, 19), (19, 7), (12, 36), (36, 12), (1, 4), (4, 1), (10, 6)])
def test_both_grids_share_their_outer_corners(size, new_size):
    positions = resized_positions(size, new_size)
    voxel = size / new_size
    assert positions[0] == pytest.approx(-0.5 + voxel / 2)
    assert positions[-1] == pytest.approx(size - 0.5 - voxel / 2)
    np.testing.assert_allclose(np.diff(positions), voxel)


@pytest.mark.parametrize(("size", "new_size"), [(2, 49), (2, 103), (3, 187), (10, 4), (4, 10), (24, 40)])
def test_the_nearest_slice_is_nnunets_where_two_are_equally_near(size, new_size):
    """nnU-Net scales the places by the ratio of the sizes and lets scipy look up the nearest voxel."""
    places = (np.arange(new_size) + 0.5) * (float(size) / new_size) - 0.5
    theirs = ndimage.map_coordinates(np.arange(float(size)), [places], order=0, mode="nearest")
    np.testing.assert_array_equal(nearest_indices(size, new_size), theirs)


@pytest.mark.parametrize(("size", "new_size"), [(7, 7), (7, 19), (19, 7), (12, 36), (36, 12), (1, 4), (4, 1), (10, 6)])
def test_images_labels_and_logits_land_on_the_same_voxels(size, new_size):
    """The matrix that images are multiplied by is made of the neighbours that labels and logits are taken from."""
    matrix = np.zeros((2, new_size, size))
    for order in (0, 1):
        for band in axis_matrix(size, new_size, order):
            rows, columns = band.weights.shape
            columns = slice(band.first_column, band.first_column + columns)
            matrix[order, band.first_row : band.first_row + rows, columns] = band.weights
    np.testing.assert_array_equal(matrix[0], np.eye(size)[nearest_indices(size, new_size)])
    between = linear_neighbours(size, new_size)
    mixed = (1 - between.weight)[:, None] * np.eye(size)[between.lower]
    mixed += between.weight[:, None] * np.eye(size)[between.upper]
    np.testing.assert_allclose(matrix[1], mixed, atol=1e-12)


@pytest.mark.parametrize(
    ("current", "new", "force", "axis"),
    [
        ((3.0, 1.0, 1.0), ISOTROPIC, None, None),
        ((3.0001, 1.0, 1.0), ISOTROPIC, None, 0),
        ((1.0, 1.0, 4.0), THICK, None, 2),
        (ISOTROPIC, THICK, None, 0),
        ((5.0, 5.0, 1.0), THICK, None, None),
        (ISOTROPIC, ISOTROPIC, None, None),
        ((2.0, 1.0, 1.0), ISOTROPIC, True, 0),
        (THICK, THICK, False, None),
        ((999.0, 1.0, 1.0), (999.0, 2.0, 2.0), None, 0),
    ],
)
def test_which_axis_is_resampled_on_its_own(current, new, force, axis):
    assert separate_axis(current, new, force) == axis


@pytest.mark.parametrize("smooth", [0, 1.5], ids=["noise", "blobs"])
@pytest.mark.parametrize(("shape", "new_shape"), SIZES)
def test_labels_equal_batchgenerators_voxel_for_voxel_ties_included(shape, new_shape, smooth):
    for seed in range(4):
        segmentation = labels(shape, seed, smooth)
        ours = resample(segmentation[None], new_shape, ISOTROPIC, ISOTROPIC, is_seg=True, order=1)[0]
        np.testing.assert_array_equal(ours, resize_segmentation(segmentation, new_shape, order=1))
        assert ours.dtype == np.int16


def test_labels_of_thick_slices_equal_batchgenerators_in_plane():
    segmentation = labels((6, 20, 22), 0, 1)
    ours = resample(segmentation[None], (6, 31, 44), THICK, THICK, is_seg=True, order=1)[0]
    for slice_, expected in zip(ours, segmentation, strict=True):
        np.testing.assert_array_equal(slice_, resize_segmentation(expected, (31, 44), order=1))


@pytest.mark.parametrize("order", [0, 3])
def test_labels_of_other_orders_equal_batchgenerators(order):
    segmentation = labels((9, 12, 10), 3, 1)
    ours = resample(segmentation[None], (14, 9, 21), ISOTROPIC, ISOTROPIC, is_seg=True, order=order)[0]
    np.testing.assert_array_equal(ours, resize_segmentation(segmentation, (14, 9, 21), order=order))


def test_many_labels_and_large_values_come_through():
    segmentation = np.random.default_rng(0).choice([0, 7, 300, 2000], (8, 9, 10)).astype(np.int16)
    ours = resample(segmentation[None], (16, 5, 20), ISOTROPIC, ISOTROPIC, is_seg=True, order=1)[0]
    np.testing.assert_array_equal(ours, resize_segmentation(segmentation, (16, 5, 20), order=1))


def test_the_same_shape_comes_back_untouched():
    array = volume((4, 5, 6))
    assert resample(array, (4, 5, 6), ISOTROPIC, THICK) is array
    assert no_resampling(array, (1, 1, 1), ISOTROPIC, ISOTROPIC) is array


def test_half_precision_stays_half_precision():
    assert resample(volume((4, 5, 6)).astype(np.float16), (8, 5, 6), ISOTROPIC, ISOTROPIC).dtype == np.float16


def test_the_array_given_is_not_changed():
    array = volume((6, 7, 8))
    before = array.copy()
    resample(array, (9, 9, 9), THICK, ISOTROPIC)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
@pytest.mark.parametrize(("size", "new_size"), [(400, 610), (700, 211), (5, 90), (90, 5), (1, 4), (4, 1)])
def test_the_bands_of_a_matrix_equal_scipys_whole_one_and_hold_no_subnormal_numbers(size, new_size, order):
    whole = np.zeros((new_size, size))
    for band in axis_matrix(size, new_size, order):
        rows, columns = band.weights.shape
        whole[band.first_row : band.first_row + rows, band.first_column : band.first_column + columns] = band.weights
        assert np.abs(band.weights[band.weights != 0]).min() >= 1e-12
    expected = ndimage.zoom(np.eye(size), (new_size / size, 1), order=order, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(whole, expected, atol=1e-11)


def test_a_very_long_axis_needs_no_square_matrix():
    line = volume((1, 1, 20_000))[:1]
    result = resample(line, (1, 1, 13_000), ISOTROPIC, ISOTROPIC)
    np.testing.assert_allclose(result[0], zoomed(line[0], (1, 1, 13_000), 3), atol=1e-5)


def test_a_new_shape_is_rounded_half_to_even():
    assert target_shape((5, 5, 7), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0)) == (2, 2, 4)


def test_an_axis_that_would_vanish_is_told():
    with pytest.raises(UserInputError, match="1 x 20 x 20 voxels would become 0 x 20 x 20"):
        resample(np.zeros((1, 1, 20, 20), np.float32), (0, 20, 20), ISOTROPIC, ISOTROPIC)


@pytest.mark.parametrize("spacing", [ISOTROPIC, THICK])
def test_linear_values_equal_torchs(spacing):
    import torch
    from torch.nn import functional

    array = volume((6, 9, 10))
    ours = resample_linear(array, (9, 14, 7), spacing, spacing)
    tensor = torch.from_numpy(array)
    if spacing == ISOTROPIC:
        expected = functional.interpolate(tensor[None], (9, 14, 7), mode="trilinear")[0]
    else:
        slices = functional.interpolate(tensor.flatten(0, 1)[None], (14, 7), mode="bilinear")[0].unflatten(0, (2, 6))
        expected = functional.interpolate(slices[None], (9, 14, 7), mode="nearest-exact")[0]
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-6)


def test_linear_labels_bring_no_new_label_and_halves_go_to_the_lowest():
    line = np.array([0, 0, 2, 2], np.int16).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(resample_linear(line, (1, 1, 2), ISOTROPIC, ISOTROPIC, is_seg=True).ravel(), [0, 2])
    line = np.array([0, 2, 2, 2], np.int16).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(resample_linear(line, (1, 1, 2), ISOTROPIC, ISOTROPIC, is_seg=True).ravel(), [0, 2])
    kept = resample_linear(line, (1, 1, 2), ISOTROPIC, ISOTROPIC, is_seg=True, memefficient_seg_resampling=True)
    np.testing.assert_array_equal(kept.ravel(), [0, 2])
