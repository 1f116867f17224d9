"""Batches are what was promised, whoever makes them; the processes that do live as long as the training."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback

import numpy as np
import pytest
import torch

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.pipeline.plan import find_plan
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.preprocessing import PreprocessedCase
from SegAutoPlanLib.training import Recipe
from SegAutoPlanLib.training.augmentation import Augmentation, augmentation_geometry
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS
from SegAutoPlanLib.training.batches import TRAINING, VALIDATION, BatchStream, batch_order
from SegAutoPlanLib.training.samples import SampleSource
from SegAutoPlanLib.training.sampling import Patch, draw_patch, must_hold_foreground, positions_of_rank

from .balls import NAME, ball_workspace

THREE_EPOCHS = Recipe(epochs=3, iterations_per_epoch=3, validation_iterations=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> SampleSource:
    workspace = ball_workspace(tmp_path_factory.mktemp("batches ü"))
    preprocess(workspace, PreprocessOptions(NAME, configurations=("3d_fullres",)))
    configuration = find_plan(workspace, load_dataset(workspace.raw / NAME), "nnUNetPlans").configuration("3d_fullres")
    return SampleSource(
        workspace.preprocessed / NAME / configuration.data_identifier,
        ("ball_0", "ball_1"),
        configuration,
        oversample_foreground=0.33,
        augmentation="default",
        mirror_axes=(0, 1, 2),
        seed=3,
    )


def loader_pids() -> set[int]:
    return {process.pid for process in multiprocessing.active_children()}


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


def one_case(shape=(10, 12, 14)) -> PreprocessedCase:
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    segmentation = np.zeros(shape, np.int16)
    segmentation[9, 11, 13] = 1
    return PreprocessedCase(data, segmentation, {}, {1: np.array([[9, 11, 13]])})


def test_a_forced_patch_holds_its_voxel_even_at_the_border():
    case = one_case()
    for seed in range(20):
        patch = draw_patch(case, np.random.default_rng(seed), (8, 8, 8), (8, 8, 8), forced=True)
        assert (patch.labels == 1).any()


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


@pytest.mark.parametrize("patch", [(16, 16, 16), (6, 24, 24), (24, 16)])
def test_augmentation_is_decided_by_its_seed_alone(patch):
    geometry = augmentation_geometry(patch)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, *geometry.crop_size)).astype(np.float32)
    labels = rng.integers(-1, 3, geometry.crop_size).astype(np.int16)
    augment = Augmentation(geometry, AUGMENTATIONS["default"], tuple(range(len(patch))))
    results = [augment(Patch(image.copy(), labels.copy()), seed) for seed in (1, 1, 2)]
    assert results[0].image.shape == (2, *patch)
    assert results[0].labels.shape == patch
    np.testing.assert_array_equal(results[0].image, results[1].image)
    assert not np.array_equal(results[0].image, results[2].image)
    assert set(np.unique(results[0].labels)) <= {-1, 0, 1, 2}


