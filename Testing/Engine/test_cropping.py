"""What cropping to the non-zero region promises, beside scipy's filling of holes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from SegAutoPlanLib.fingerprint import cropping
from SegAutoPlanLib.fingerprint.cropping import crop_to_nonzero


def reference(image: np.ndarray, segmentation: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """The plain way: fill the holes of the whole mask, then crop."""
    mask = ndimage.binary_fill_holes((image != 0).any(axis=0))
    box = [(s.start, s.stop) for s in ndimage.find_objects(mask.astype(int))[0]]
    slices = tuple(slice(*bounds) for bounds in box)
    return box, np.where((segmentation == 0) & ~mask, -1, segmentation)[slices]


@pytest.mark.parametrize("few", [0, 1], ids=["labelled all at once", "followed one by one"])
@pytest.mark.parametrize("share_of_zeros", [0.02, 0.4, 0.7, 0.95])
def test_box_and_outside_equal_scipys(share_of_zeros, few, monkeypatch):
    monkeypatch.setattr(cropping, "FEW", few)
    random = np.random.default_rng(int(100 * share_of_zeros))
    for shape in ((9, 14, 11), (1, 30, 20), (13, 1, 9), (6, 7, 8)):
        image = random.normal(size=(2, *shape)).astype(np.float32)
        image[:, random.random(shape) < share_of_zeros] = 0
        segmentation = (random.random(shape) < 0.2).astype(np.int16)
        box, expected = reference(image, segmentation)
        crop = crop_to_nonzero(image, segmentation.copy())
        assert list(crop.bounding_box) == box
        np.testing.assert_array_equal(crop.segmentation, expected)
        np.testing.assert_array_equal(crop.image, image[(slice(None), *(slice(*bounds) for bounds in box))])


def with_border() -> np.ndarray:
    image = np.zeros((1, 8, 9, 10), np.float32)
    image[:, 2:6, 3:7, 1:9] = 5
    return image


def test_a_hole_is_inside_and_a_notch_is_outside():
    image = with_border()
    image[0, 4, 5, 5] = 0
    image[0, 2, 3, 1] = 0
    crop = crop_to_nonzero(image)
    assert crop.bounding_box == ((2, 6), (3, 7), (1, 9))
    assert crop.segmentation.dtype == np.int8
    assert crop.segmentation[2, 2, 4] == 0
    assert crop.segmentation[0, 0, 0] == -1
    assert np.count_nonzero(crop.segmentation) == 1


def test_a_label_outside_the_image_is_kept():
    image = with_border()
    image[0, 2, 3, 1] = 0
    segmentation = np.zeros(image.shape[1:], np.int16)
    segmentation[2, 3, 1] = 2
    assert crop_to_nonzero(image, segmentation).segmentation[0, 0, 0] == 2


def test_one_channel_is_enough_to_be_inside():
    image = np.concatenate([with_border(), np.zeros((1, 8, 9, 10), np.float32)])
    image[1, 0, 0, 0] = 1
    assert crop_to_nonzero(image).bounding_box == ((0, 6), (0, 7), (0, 9))


def test_an_image_of_zeros_keeps_its_size_and_is_outside():
    crop = crop_to_nonzero(np.zeros((1, 3, 4, 5), np.float32), np.zeros((3, 4, 5), np.int16))
    assert crop.blank
    assert crop.bounding_box == ((0, 3), (0, 4), (0, 5))
    assert (crop.segmentation == -1).all()


def test_air_of_a_ct_is_not_cropped():
    crop = crop_to_nonzero(np.full((1, 4, 4, 4), -1000, np.float32), np.zeros((4, 4, 4), np.int16))
    assert not crop.blank
    assert (crop.segmentation == 0).all()
