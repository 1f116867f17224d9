"""Tiles cover the volume, the export is the interpolation it claims to be, and geometry comes back exactly."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch import nn

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.images import read_image
from SegAutoPlanLib.inference import SegmentCasesOptions, Segmenter, load_model, segment_cases
from SegAutoPlanLib.inference.resampled_logits import grid_interpolation, logits_to_segmentation, resampled_slabs
from SegAutoPlanLib.inference.sliding_window import WindowOptions, predict_logits
from SegAutoPlanLib.inference.tiling import gaussian_weights, padding_to, tile_starts, tiles
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.networks import build_network, write_checkpoint
from SegAutoPlanLib.pipeline.predict import PredictOptions
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.planning import budget, read_plan
from SegAutoPlanLib.planning.resampling import Resampler
from SegAutoPlanLib.progress import Reporter

from .balls import NAME, ball_case, ball_workspace
from .raw_datasets import OBLIQUE, write_image

CPU = torch.device("cpu")
LINEAR = Resampler("resample_data_or_seg_to_shape", order=1, order_z=0)


class PerVoxel(nn.Module):
    """A network without context: tiling must then change nothing."""

    def forward(self, x):
        return torch.cat([x[:, :1] * 2 + 1, -x[:, :1]], dim=1)


class LooksUp(nn.Module):
    """A network that sees a direction, so that mirroring matters: differences along the last axis."""

    def forward(self, x):
        return torch.cat([x, x.roll(1, dims=-1)], dim=1)


@pytest.mark.parametrize(
    ("size", "tile", "step", "starts"),
    [(110, 64, 0.5, [0, 23, 46]), (300, 128, 0.5, [0, 57, 115, 172]), (64, 64, 0.5, [0]), (65, 64, 1.0, [0, 1])],
)
def test_tiles_lie_where_nnunets_lie(size, tile, step, starts):
    assert tile_starts(size, tile, step) == starts


def test_more_tiles_than_anyone_would_wait_for_are_refused_before_they_are_listed():
    for shape, tile, step in (
        ((10**6,) * 3, (16,) * 3, 0.5),
        ((512,) * 3, (8,) * 3, 0.05),
        ((64,) * 3, (32,) * 3, 1e-9),
    ):
        with pytest.raises(UserInputError, match=r"in [0-9,]+ tiles of .*--step-size"):
            tiles(shape, tile, step)


@pytest.mark.parametrize("step", [0, -0.5, 1.01, 1e-9, 0.049, float("nan"), float("inf"), 2**70, True, "0.5", None])
def test_a_step_size_is_a_number_from_a_twentieth_to_one(step, tmp_path):
    with pytest.raises(UserInputError, match=r"--step-size .*must be a number from 0\.05 to 1"):
        PredictOptions(tmp_path, [tmp_path], tmp_path, step_size=step)


def test_small_volumes_are_padded_with_the_larger_half_above():
    assert padding_to((5, 16, 20), (8, 16, 16)) == [(1, 2), (0, 0), (0, 0)]


def test_the_gaussian_is_that_of_a_filtered_impulse_and_never_zero():
    from scipy.ndimage import gaussian_filter

    impulse = np.zeros((16, 24, 20))
    impulse[8, 12, 10] = 1
    expected = gaussian_filter(impulse, [2, 3, 2.5], mode="constant")
    weights = gaussian_weights((16, 24, 20))
    np.testing.assert_allclose(weights, expected / expected.max() * 10, atol=1e-6)
    assert gaussian_weights((128, 128, 128)).min() > 0


@pytest.mark.parametrize("shape", [(5, 9, 30), (16, 16, 16), (20, 33, 17)])
@pytest.mark.parametrize("patch", [(8, 16, 16), (16, 8)])
def test_a_network_without_context_gives_the_same_tiled_as_whole(shape, patch):
    data = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    logits = predict_logits([PerVoxel()], data, patch, 2, CPU, WindowOptions())
    expected = PerVoxel()(torch.from_numpy(data)[None])[0]
    assert torch.allclose(logits, expected, atol=1e-5)


def test_mirroring_is_the_mean_of_the_flipped_outputs():
    data = np.random.default_rng(0).normal(size=(1, 8, 8, 8)).astype(np.float32)
    network = LooksUp()
    logits = predict_logits([network], data, (8, 8, 8), 2, CPU, WindowOptions(mirror_axes=(0, 1, 2)))
    image = torch.from_numpy(data)[None]
    flips = [f for n in range(4) for f in itertools.combinations((2, 3, 4), n)]
    expected = sum(network(image.flip(f)).flip(f) for f in flips) / len(flips)
    assert len(flips) == 8
    assert torch.allclose(logits, expected[0], atol=1e-5)


def test_folds_are_averaged_as_logits():
    data = np.ones((1, 8, 8, 8), np.float32)

    class Twice(PerVoxel):
        def forward(self, x):
            return 2 * super().forward(x)

    logits = predict_logits([PerVoxel(), Twice()], data, (8, 8, 8), 2, CPU, WindowOptions())
    assert torch.allclose(logits[0], torch.tensor(4.5))


def test_constant_tiles_go_through_the_network_once():
    calls = []

    class Counting(PerVoxel):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    data = np.zeros((1, 64, 8, 8), np.float32)
    data[0, :4] = np.arange(4 * 64).reshape(4, 8, 8)
    logits = predict_logits([Counting()], data, (8, 8, 8), 2, CPU, WindowOptions())
    assert sum(calls) == 2
    assert torch.allclose(logits, PerVoxel()(torch.from_numpy(data)[None])[0], atol=1e-4)


def test_segmenting_can_be_stopped_between_tiles():
    class Impatient(Reporter):
        def stop_requested(self):
            return True

    with pytest.raises(StopRequested):
        predict_logits([PerVoxel()], np.ones((1, 8, 8, 8), np.float32), (8, 8, 8), 2, CPU, WindowOptions(), Impatient())


@pytest.mark.parametrize("new_shape", [(20, 30, 14), (7, 9, 8), (10, 12, 11), (25, 6, 40)])
def test_the_export_interpolates_as_torch_does(new_shape):
    logits = torch.randn(3, 10, 12, 11)
    grid = grid_interpolation((10, 12, 11), new_shape, (1, 1, 1), (1, 1, 1), LINEAR)
    result = torch.cat([slab for _, slab in resampled_slabs(logits, grid)], dim=1)
    expected = nn.functional.interpolate(logits[None], size=new_shape, mode="trilinear", align_corners=False)[0]
    assert torch.allclose(result, expected, atol=1e-5)


def test_a_coarse_axis_is_taken_by_nearest_neighbour():
    logits = torch.randn(2, 4, 8, 8)
    grid = grid_interpolation((4, 8, 8), (9, 16, 16), (5, 1, 1), (2.2, 0.5, 0.5), LINEAR)
    result = torch.cat([slab for _, slab in resampled_slabs(logits, grid)], dim=1)
    nearest = nn.functional.interpolate(logits[None], size=(9, 8, 8), mode="nearest-exact")
    expected = nn.functional.interpolate(nearest, size=(9, 16, 16), mode="trilinear", align_corners=False)[0]
    assert torch.allclose(result, expected, atol=1e-5)


def test_a_plan_that_asks_for_the_nearest_voxel_gets_it_along_every_axis():
    logits = torch.randn(2, 4, 8, 8)
    nearest = replace(LINEAR, order=0)
    grid = grid_interpolation((4, 8, 8), (9, 15, 11), (1, 1, 1), (0.45, 0.5, 0.7), nearest)
    result = torch.cat([slab for _, slab in resampled_slabs(logits, grid)], dim=1)
    expected = nn.functional.interpolate(logits[None], size=(9, 15, 11), mode="nearest-exact")[0]
    assert torch.equal(result, expected)


def test_slabs_are_thin_when_there_are_many_classes(monkeypatch):
    monkeypatch.setattr("SegAutoPlanLib.inference.resampled_logits.SLAB_BYTES", 4 * 3 * 50 * 16 * 16 * 2)
    logits = torch.randn(50, 8, 16, 16)
    slabs = list(resampled_slabs(logits, grid_interpolation((8, 16, 16), (16, 16, 16), (1,) * 3, (1,) * 3, LINEAR)))
    assert [part.stop - part.start for part, _ in slabs] == [2] * 8


def test_regions_are_painted_in_their_order():
    regions = LabelScheme((("background", 0), ("whole", (1, 2, 3)), ("core", (2, 3)), ("hot", 3)), (1, 2, 3))
    probabilities = torch.tensor([0.6, 0.6, 0.4]).logit().reshape(3, 1)
    assert logits_to_segmentation(probabilities, regions).tolist() == [2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small model that knows the balls, in a folder whose name has a space and an umlaut."""
    workspace = ball_workspace(tmp_path_factory.mktemp("models mit Größe"))
    options = TrainOptions(NAME, "3d_fullres", 0, recipe="short", epochs=8, iterations=12, device="cpu")
    return train(workspace, options).model


def write_ball(folder: Path, seed: int = 11, **geometry) -> tuple[Path, np.ndarray]:
    image, labels = ball_case(seed, (20, 26, 30))
    return write_image(image, folder / "new_0000.nii.gz", **geometry), labels


def test_a_segmentation_has_its_images_exact_geometry(trained, tmp_path):
    geometry = {"spacing": (1.1, 0.9, 1.3), "origin": (12.5, -3.25, 7.0), "direction": OBLIQUE}
    source, labels = write_ball(tmp_path / "in", **geometry)
    (file,) = segment_cases(Segmenter(load_model(trained), "cpu"), source.parent, tmp_path / "out")
    image, result = sitk.ReadImage(str(source)), sitk.ReadImage(str(file))
    for question in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(result, question)() == pytest.approx(getattr(image, question)(), abs=1e-6)
    found = sitk.GetArrayFromImage(result) > 0
    assert 2 * (found & (labels > 0)).sum() / (found.sum() + (labels > 0).sum()) > 0.7


def test_probabilities_are_float32_of_the_images_shape_and_sum_to_one(trained, tmp_path):
    source, _ = write_ball(tmp_path)
    segment_cases(
        Segmenter(load_model(trained), "cpu"), [source], tmp_path / "out", SegmentCasesOptions(save_probabilities=True)
    )
    with np.load(tmp_path / "out" / "new.npz") as content:
        probabilities = content["probabilities"]
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (3, 20, 26, 30)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    assert (tmp_path / "out" / "new.pkl").is_file()


def test_a_segmented_folder_can_be_continued_and_shared_out(trained, tmp_path):
    for seed, name in enumerate(("a", "b", "c")):
        write_image(ball_case(seed)[0], tmp_path / "in" / f"{name}_0000.nii.gz")
    segmenter = Segmenter(load_model(trained), "cpu")
    first = segment_cases(segmenter, tmp_path / "in", tmp_path / "out", SegmentCasesOptions(part=(2, 2)))
    assert [file.name for file in first] == ["b.nii.gz"]
    rest = segment_cases(segmenter, tmp_path / "in", tmp_path / "out", SegmentCasesOptions(skip_existing=True))
    assert [file.name for file in rest] == ["a.nii.gz", "c.nii.gz"]
    assert read_json(tmp_path / "out" / "dataset.json")["labels"]["ball"] == 1


def test_a_model_folder_without_weights_is_named(trained, tmp_path):
    for name in ("dataset.json", "plans.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    with pytest.raises(UserInputError, match="there are no weights") as refused:
        load_model(tmp_path)
    assert str(tmp_path) in str(refused.value)


def test_a_model_whose_network_we_would_build_differently_says_why(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "model")
    plans = read_json(tmp_path / "model" / "plans.json")
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["conv_bias"] = False
    write_json(tmp_path / "model" / "plans.json", plans)
    with pytest.raises(UserInputError, match=r'plans.json: 3d_fullres cannot be used, .* "conv_bias" must be true'):
        load_model(tmp_path / "model")


def test_a_missing_model_folder_is_named(tmp_path):
    with pytest.raises(UserInputError, match="does not exist"):
        load_model(tmp_path / "nothing")


def test_values_that_are_no_numbers_are_no_segmentation(trained, tmp_path):
    source, _ = write_ball(tmp_path)
    segmenter = Segmenter(load_model(trained), "cpu")
    with torch.no_grad():
        for network in segmenter._networks:
            network.decoder.seg_layers[-1].bias.fill_(3e38)
            network.decoder.seg_layers[-1].weight.fill_(3e38)
    with pytest.raises(UserInputError, match="not finite"):
        segmenter.segment(read_image([source], "SimpleITKIO"))


@pytest.mark.parametrize(
    ("memory", "words"),
    [(1000, "segmenting 3 classes"), (500_000, "the segmentation"), (2_000_000, "the probabilities of 3 classes")],
)
def test_what_segmenting_comes_to_has_a_budget(trained, tmp_path, monkeypatch, memory, words):
    source, _ = write_ball(tmp_path)
    segmenter = Segmenter(load_model(trained), "cpu")
    case = segmenter.preprocess(read_image([source], "SimpleITKIO"))
    monkeypatch.setattr(budget, "total_memory", lambda: memory)
    geometry = replace(case.geometry, shape_before_cropping=(100, 100, 100))
    with pytest.raises(UserInputError, match=words):
        segmenter.segment_preprocessed(replace(case, geometry=geometry), with_probabilities=True)


def test_too_few_channels_are_named(trained, tmp_path):
    source, _ = write_ball(tmp_path)
    image = read_image([source, source], "SimpleITKIO")
    with pytest.raises(UserInputError, match="2 channel"):
        Segmenter(load_model(trained), "cpu").segment(image)


def test_an_input_folder_without_images_says_what_is_looked_for(trained, tmp_path):
    with pytest.raises(UserInputError, match=r"CASE_0000\.nii\.gz"):
        segment_cases(Segmenter(load_model(trained), "cpu"), tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_truncated_image_leaves_nothing_half_written(trained, tmp_path):
    source, _ = write_ball(tmp_path / "in")
    source.write_bytes(source.read_bytes()[:500])
    with pytest.raises(UserInputError, match=r"new_0000\.nii\.gz"):
        segment_cases(Segmenter(load_model(trained), "cpu"), tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.nii.gz"))
    assert not list((tmp_path / "out").glob(".writing*"))


@pytest.fixture
def second_stage(tmp_path):
    """A cascade's second stage with the weights of a fresh network."""
    workspace = ball_workspace(tmp_path / "workspace")
    document = read_json(workspace.preprocessed / NAME / "nnUNetPlans.json")
    document["configurations"]["3d_cascade"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    folder = tmp_path / "nnUNetTrainer__nnUNetPlans__3d_cascade"
    write_json(folder / "plans.json", document)
    write_json(folder / "dataset.json", read_json(workspace.raw / NAME / "dataset.json"))
    architecture = read_plan(folder / "plans.json").configurations["3d_cascade"].architecture
    weights = build_network(architecture, 1 + 2, 3).state_dict()
    content = {
        "network_weights": weights,
        "init_args": {"configuration": "3d_cascade"},
        "trainer_name": "nnUNetTrainer",
    }
    write_checkpoint(folder / "fold_0" / "checkpoint_final.pth", content)
    return folder


def test_a_second_stage_sees_the_first_ones_segmentation_and_asks_for_it(second_stage, tmp_path):
    source, labels = write_ball(tmp_path / "in")
    segmenter = Segmenter(load_model(second_stage), "cpu")
    with pytest.raises(UserInputError, match="--previous-stage"):
        segment_cases(segmenter, source.parent, tmp_path / "out")
    for name, segmentation in (("first", labels), ("other", 0 * labels)):
        write_image(segmentation, tmp_path / name / "new.nii.gz")
        options = SegmentCasesOptions(previous_stage=tmp_path / name, save_probabilities=True)
        segment_cases(segmenter, source.parent, tmp_path / f"out {name}", options)
    probabilities = [np.load(tmp_path / f"out {name}" / "new.npz")["probabilities"] for name in ("first", "other")]
    assert not np.allclose(*probabilities)
