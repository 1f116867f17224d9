"""A sliding window plans its memory, goes on where that runs out, and says what it leaves out when asked to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.inference import sliding_window
from SegAutoPlanLib.inference.left_out import air_thresholds, coarser_step, covering_tiles, is_air
from SegAutoPlanLib.inference.memory_plan import MemoryPlan, longest_axis, plan_memory, slab_bytes, sum_bytes
from SegAutoPlanLib.inference.sliding_window import WindowOptions, logit_slabs, predict_logits
from SegAutoPlanLib.inference.tiling import count_tiles, gaussian_weights, tiles
from SegAutoPlanLib.networks.samples_at_once import VOXELS_AT_ONCE
from SegAutoPlanLib.shortcuts import Shortcuts

from .test_inference import LooksUp, PerVoxel
from .test_training import Recorder

CPU = torch.device("cpu")
MAIN = torch.device("cpu", 0)
"""Another name of the same memory, which stands for main memory beside that of a device."""
PATCH = (8, 8, 8)
NOISE = np.random.default_rng(0).normal(size=(1, 12, 30, 17)).astype(np.float32)
MIRRORED = WindowOptions(mirror_axes=(0, 1, 2))


class Counting(LooksUp):
    """Remembers how many samples each pass had."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = []

    def forward(self, x):
        self.passes.append(len(x))
        return super().forward(x)


class Small(Counting):
    """Computed on a device whose memory ends, now and then, as `fits` tells of the samples of a pass."""

    def __init__(self, fits) -> None:
        super().__init__()
        self._fits = fits
        self.refused = 0

    def forward(self, x):
        if not self._fits(self, x):
            self.refused += 1
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(x)


def logits_of(network: nn.Module, data=NOISE, options=MIRRORED, reporter=None, **where) -> torch.Tensor:
    return predict_logits([network], data, PATCH, 2, CPU, options, reporter or Recorder(), **where)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(12, 30, 17), (5, 30, 6), (8, 8, 40)])
def test_slabs_along_any_axis_are_the_whole(axis, shape):
    data = NOISE[:, : shape[0], : shape[1], : shape[2]] if shape[2] < 18 else np.resize(NOISE, (1, *shape))
    whole = logits_of(LooksUp(), data)
    slabs = logit_slabs([LooksUp()], data, PATCH, 2, CPU, MIRRORED, MemoryPlan(CPU, axis))
    parts = [(start, slab.clone()) for start, slab in slabs]
    assert [start for start, _ in parts] == [
        0,
        *itertools.accumulate(slab.shape[1 + axis] for _, slab in parts[:-1]),
    ]
    assert torch.allclose(torch.cat([slab for _, slab in parts], 1 + axis), whole, atol=1e-5)
    if shape[axis] > 2 * PATCH[axis]:
        assert max(slab.shape[1 + axis] for _, slab in parts) <= PATCH[axis]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_a_2d_network_come_in_slabs_too(axis):
    whole = predict_logits([LooksUp()], NOISE, (8, 8), 2, CPU, WindowOptions())
    slabs = logit_slabs([LooksUp()], NOISE, (8, 8), 2, CPU, WindowOptions(), MemoryPlan(CPU, axis))
    assert torch.allclose(torch.cat([slab.clone() for _, slab in slabs], 1 + axis), whole, atol=1e-5)


SHAPE, TILE, GPU = (100, 400, 200), (64, 64, 64), torch.device("cuda")
EVERYTHING, SLAB = sum_bytes(60, SHAPE), slab_bytes(60, SHAPE, TILE)


@pytest.mark.parametrize(
    ("device", "free_device", "free_host", "whole", "expected"),
    [
        (CPU, None, None, False, MemoryPlan(CPU)),
        (CPU, None, 2 * EVERYTHING, False, MemoryPlan(CPU)),
        (CPU, None, EVERYTHING, False, MemoryPlan(CPU, 1)),
        (CPU, None, EVERYTHING, True, MemoryPlan(CPU)),
        (GPU, None, None, False, MemoryPlan(GPU)),
        (GPU, 2 * EVERYTHING, 0, False, MemoryPlan(GPU)),
        (GPU, 2 * SLAB, 9 * EVERYTHING, False, MemoryPlan(GPU, 1)),
        (GPU, 2 * SLAB, 9 * EVERYTHING, True, MemoryPlan(CPU)),
        (GPU, SLAB, 9 * EVERYTHING, False, MemoryPlan(CPU)),
        (GPU, -1, SLAB, False, MemoryPlan(CPU, 1)),
    ],
)
def test_memory_is_planned_before_the_first_tile(device, free_device, free_host, whole, expected):
    assert plan_memory(60, SHAPE, TILE, device, free_device, free_host, whole) == expected


def test_a_volume_no_longer_than_a_tile_is_kept_whole():
    assert plan_memory(60, (20, 64, 30), (32, 64, 64), CPU, None, 1, False) == MemoryPlan(CPU)
    assert longest_axis((5, 9, 9)) == 1


def test_a_batch_that_does_not_fit_is_halved_for_good_and_nothing_is_done_twice(monkeypatch):
    monkeypatch.setitem(VOXELS_AT_ONCE, "cpu", 8 * 8**3)
    network = Small(lambda _, x: len(x) <= 2)
    assert torch.equal(logits_of(network), logits_of(LooksUp()))
    assert network.refused == 2
    assert set(network.passes) == {2}
    assert sum(network.passes) == 8 * count_tiles(NOISE.shape[1:], PATCH)


def test_a_full_device_hands_its_sums_to_main_memory_and_goes_on(monkeypatch):
    """The third tile finds no room, even alone, until the sums have gone."""
    monkeypatch.setattr(sliding_window, "CPU", MAIN)
    monkeypatch.setitem(VOXELS_AT_ONCE, "cpu", 8**3)
    moved = []
    real = sliding_window.LogitSums.move_to
    monkeypatch.setattr(
        sliding_window.LogitSums, "move_to", lambda sums, place: (moved.append(place), real(sums, place))
    )
    network = Small(lambda network, _: len(network.passes) < 2 or bool(moved))
    report = Recorder()
    plain = WindowOptions()
    assert torch.equal(logits_of(network, options=plain, reporter=report), logits_of(LooksUp(), options=plain))
    assert moved == [MAIN]
    assert sum(network.passes) == count_tiles(NOISE.shape[1:], PATCH)
    [told] = [event["message"] for event in report.events if event["event"] == "memory"]
    assert "main memory" in told


def test_sums_that_do_not_fit_the_device_begin_in_main_memory(monkeypatch):
    monkeypatch.setattr(sliding_window, "CPU", MAIN)
    real = sliding_window.LogitSums

    def sums(heads, shape, axis, place):
        if place == CPU:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return real(heads, shape, axis, place)

    expected = logits_of(LooksUp())
    monkeypatch.setattr(sliding_window, "LogitSums", sums)
    assert torch.equal(logits_of(LooksUp()), expected)


def test_a_tile_that_fits_nowhere_is_a_sentence():
    with pytest.raises(UserInputError, match=r"A tile of 8 × 8 × 8 voxels does not fit .*--device cpu"):
        logits_of(Small(lambda *_: False))


@pytest.mark.parametrize("mistake", [RuntimeError("CUDA error: an illegal memory access"), MemoryError(), KeyError(3)])
def test_any_other_error_is_raised_as_it_is(mistake):
    class Wrong(LooksUp):
        def forward(self, x):
            raise mistake

    with pytest.raises(type(mistake)):
        logits_of(Wrong())


def test_a_stop_is_heard_within_one_tiles_time():
    """A tile has eight mirrored copies of each of five folds."""

    class Impatient(Recorder):
        def stop_requested(self):
            return len(network.passes) >= 3

    network = Counting()
    with pytest.raises(StopRequested):
        predict_logits([network] * 5, NOISE, (40, 56, 40), 2, CPU, MIRRORED, Impatient())
    assert len(network.passes) == 3


def test_each_tile_is_told_with_the_time_that_is_left(monkeypatch):
    monkeypatch.setitem(VOXELS_AT_ONCE, "cpu", 8**3)
    report = Recorder()
    logits_of(LooksUp(), reporter=report)
    total = count_tiles(NOISE.shape[1:], PATCH)
    told = [event for event in report.events if event["event"] == "progress"]
    assert [event["done"] for event in told] == list(range(total + 1))
    assert all(event["eta_s"] >= 0 for event in told[1:])


def test_mirrored_copies_go_through_the_network_together(monkeypatch):
    monkeypatch.setitem(VOXELS_AT_ONCE, "cpu", 4 * 8**3)
    network = Counting()
    logits_of(network, NOISE[:, :8, :8, :8])
    assert network.passes == [4, 4]


@pytest.mark.parametrize("extent", [1, 2, 5, 8, 33, 40, 56, 128, 192])
def test_the_gaussian_is_scipys_to_the_bit(extent):
    from scipy.ndimage import gaussian_filter1d

    impulse = np.zeros(extent)
    impulse[extent // 2] = 1
    filtered = gaussian_filter1d(impulse, extent / 8, mode="constant")
    expected = np.maximum((filtered * (10 / filtered.max())).astype(np.float32), np.float32(2**-24))
    assert np.array_equal(gaussian_weights((1, extent))[0], expected)


def body_in_air() -> np.ndarray:
    """A bright ball in the corner of a dark, noisy volume."""
    generator = np.random.default_rng(0)
    volume = generator.normal(0, 0.02, (1, 32, 32, 32)).astype(np.float32)
    volume[:, :14, :14, :14] += 2 + generator.normal(size=(1, 14, 14, 14)).astype(np.float32) / 4
    return volume - 0.7


def test_air_is_skipped_where_it_is_asked_for_and_becomes_background():
    volume = body_in_air()
    network, report = Counting(), Recorder()
    options = WindowOptions(shortcuts=Shortcuts(skip_air=True))
    logits = logits_of(network, volume, options, report)
    exact = logits_of(LooksUp(), volume, WindowOptions())
    assert sum(network.passes) < count_tiles(volume.shape[1:], PATCH) / 4
    assert torch.allclose(logits[:, :8, :8, :8], exact[:, :8, :8, :8], atol=1e-5)
    assert torch.equal(logits[:, 20:, 20:, 20:].argmax(0), torch.zeros(12, 12, 12, dtype=torch.int64))
    [told] = [event["message"] for event in report.events if event["event"] == "inexact"]
    assert told.startswith("Inexact, as asked for (--skip-air)")
    regions = WindowOptions(shortcuts=Shortcuts(skip_air=True), has_background=False)
    assert (logits_of(LooksUp(), volume, regions)[:, 20:, 20:, 20:] < 0).all()


def test_air_is_what_is_dark_in_every_channel():
    volume = np.concatenate([body_in_air(), 3 * body_in_air()[:, ::-1]])
    thresholds = air_thresholds(volume)
    assert is_air(volume[:, 16:24, 16:24, 16:24], thresholds)
    assert not is_air(volume[:, :8, :8, :8], thresholds)
    assert not is_air(volume[:, 24:, :8, :8], thresholds)


@pytest.mark.parametrize(("most", "step"), [(None, 0.5), (1000, 0.5), (100, 0.7), (27, 1.0), (1, 1.0)])
def test_a_coarser_step_keeps_to_the_number_of_tiles(most, step):
    shape = (24, 24, 24)
    chosen = coarser_step(shape, PATCH, 0.5, most)
    assert chosen == pytest.approx(step)
    if most is not None and chosen < 1:
        assert count_tiles(shape, PATCH, chosen) <= most


@pytest.mark.parametrize("shape", [(8, 30, 17), (64, 9, 8), (40, 41, 23)])
@pytest.mark.parametrize("step_size", [0.25, 0.5, 0.7, 1.0])
def test_the_covering_tiles_leave_no_gap(shape, step_size):
    covered = np.zeros(shape, bool)
    covering = covering_tiles(shape, PATCH, step_size)
    assert covering <= set(tiles(shape, PATCH, step_size))
    for start in covering:
        covered[tuple(slice(s, s + 8) for s in start)] = True
    assert covered.all()


@pytest.mark.parametrize("plan", [MemoryPlan(CPU), MemoryPlan(CPU, 1)])
def test_when_the_time_is_up_only_what_covers_the_image_is_computed_and_once(plan):
    network, report = Counting(), Recorder()
    options = WindowOptions(mirror_axes=(0, 1, 2), shortcuts=Shortcuts(time_limit=1e-9))
    slabs = [slab.clone() for _, slab in logit_slabs([network], NOISE, PATCH, 2, CPU, options, plan, report)]
    logits = torch.cat(slabs, 1 + (plan.axis or 0))
    assert sum(network.passes) == len(covering_tiles(NOISE.shape[1:], PATCH, 0.5))
    assert torch.allclose(logits[0], torch.from_numpy(NOISE[0]), atol=1e-5)
    [told] = [event["message"] for event in report.events if event["event"] == "inexact"]
    assert "left out when the time was up" in told


def test_without_shortcuts_nothing_is_left_out_nor_said():
    report = Recorder()
    logits_of(PerVoxel(), reporter=report)
    assert not [event for event in report.events if event["event"] == "inexact"]
    assert Shortcuts().in_words() == ""
    assert Shortcuts(True, 50, 2.5).in_words() == "--skip-air, --coarse-step-above 50, --time-limit 2.5"
