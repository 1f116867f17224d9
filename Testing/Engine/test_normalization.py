"""What each normalisation scheme of plans.json promises."""

from __future__ import annotations

import numpy as np
import pytest

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.fingerprint import Intensities
from SegAutoPlanLib.planning import normalization as planned
from SegAutoPlanLib.preprocessing.normalization import SCHEMES, normalize

CT_INTENSITIES = Intensities(
    max=900.0, mean=100.0, median=90.0, min=-200.0, percentile_00_5=-50.0, percentile_99_5=300.0, std=40.0
)


def normalized(image: np.ndarray, scheme: str, use_mask: bool = False, segmentation: np.ndarray | None = None):
    result = image[None].astype(np.float32)
    inside = np.zeros(image.shape, np.int8) if segmentation is None else segmentation
    normalize(result, inside, (scheme,), (use_mask,), (CT_INTENSITIES,))
    assert result.dtype == np.float32
    return result[0]


@pytest.fixture
def volume() -> np.ndarray:
    return np.random.default_rng(0).normal(80, 120, (5, 20, 30)).astype(np.float32)


def test_z_score_gives_mean_0_and_deviation_1(volume):
    expected = (volume - volume.mean()) / volume.std()
    np.testing.assert_allclose(normalized(volume, "ZScoreNormalization"), expected, atol=1e-5)


def test_z_score_with_a_mask_leaves_the_outside_at_0(volume):
    outside = np.zeros(volume.shape, bool)
    outside[:, :6] = True
    volume[outside] = 0
    result = normalized(volume, "ZScoreNormalization", True, np.where(outside, -1, 0))
    inside = volume[~outside]
    assert (result[outside] == 0).all()
    np.testing.assert_allclose(result[~outside], (inside - inside.mean()) / inside.std(), atol=1e-5)


def test_z_score_of_a_constant_or_a_wholly_outside_image_stays_finite(volume):
    assert (normalized(np.full((2, 3, 4), 7.0), "ZScoreNormalization") == 0).all()
    everything_outside = np.full(volume.shape, -1)
    result = normalized(volume, "ZScoreNormalization", True, everything_outside)
    np.testing.assert_array_equal(result, volume)


def test_ct_clips_to_the_datasets_percentiles(volume):
    expected = (np.clip(volume, -50, 300) - 100) / 40
    np.testing.assert_allclose(normalized(volume, "CTNormalization"), expected, atol=1e-5)


def test_no_normalisation_changes_nothing(volume):
    np.testing.assert_array_equal(normalized(volume, "NoNormalization"), volume)


def test_rescaling_reaches_from_0_to_1(volume):
    result = normalized(volume, "RescaleTo01Normalization")
    assert result.min() == 0
    assert result.max() == 1


def test_colours_are_divided_by_255():
    result = normalized(np.array([[[0.0, 51.0, 255.0]]]), "RGBTo01Normalization")
    np.testing.assert_allclose(result, [[[0, 0.2, 1]]], atol=1e-7)


def test_colours_beyond_255_are_told():
    with pytest.raises(UserInputError, match=r"0\.\.255"):
        normalized(np.array([[[0.0, 256.0]]]), "RGBTo01Normalization")


def test_a_wrong_channel_count_and_an_unknown_scheme_are_told(volume):
    with pytest.raises(UserInputError, match="has 1 channels but the plan was made for 2"):
        normalize(volume[None], np.zeros(volume.shape), ("NoNormalization",) * 2, (False,) * 2, ({}, {}))
    with pytest.raises(UserInputError, match="unknown normalisation Magic"):
        normalized(volume, "Magic")


def test_every_scheme_of_nnunets_plans_is_known():
    names = ("ZScore", "CT", "No", "RescaleTo01", "RGBTo01")
    assert set(SCHEMES) == {f"{name}Normalization" for name in names}


def test_every_scheme_that_a_plan_chooses_can_be_carried_out():
    assert set(SCHEMES) == set(planned.SCHEMES)


def test_a_channel_whose_intensities_the_plan_does_not_tell_is_refused_only_where_they_are_needed():
    image, inside = np.ones((2, 3, 4, 5), np.float32), np.zeros((3, 4, 5), np.int8)
    normalize(image, inside, ("ZScoreNormalization",) * 2, (False,) * 2, (CT_INTENSITIES,))
    assert (image == 0).all()
    with pytest.raises(UserInputError, match="foreground intensities of 1 of 2 channels; plan again"):
        normalize(image, inside, ("CTNormalization",) * 2, (False,) * 2, (CT_INTENSITIES,))
