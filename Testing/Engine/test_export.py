"""Labels on the image's grid are those of interpolated logits, though hardly anything is interpolated."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from SegAutoPlanLib.images.source_header import SourceHeader
from SegAutoPlanLib.inference import interpolated_tiles, resampled_labels
from SegAutoPlanLib.inference.export import Exporter, export
from SegAutoPlanLib.inference.resampled_labels import fill_labels, fill_labels_from_slabs
from SegAutoPlanLib.inference.resampled_logits import grid_interpolation, logits_to_segmentation
from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.planning.resampling import Resampler
from SegAutoPlanLib.preprocessing import CaseGeometry

LINEAR = Resampler("resample_data_or_seg_to_shape", order=1, order_z=0)
ISOTROPIC = (1.0, 1.0, 1.0)
REGIONS = LabelScheme((("background", 0), ("whole", (1, 2, 3)), ("core", (2, 3)), ("hot", 3)), (3, 1, 2))
SHAPE = (9, 14, 12)
TIE = 1e-5


def classes(count: int) -> LabelScheme:
    return LabelScheme((("background", 0), *((f"class {value}", value) for value in range(1, count))))


def smooth(heads: int, shape=SHAPE, seed: int = 0, noise: float = 0.05) -> torch.Tensor:
    """Logits with a few compact objects, as those of a trained network have, and a little noise."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, heads, 3, 4, 3, generator=random) * 4
    fine = torch.randn(heads, *shape, generator=random) * noise
    return nn.functional.interpolate(coarse, size=shape, mode="trilinear")[0] + fine


def noisy(heads: int, shape=SHAPE, seed: int = 0) -> torch.Tensor:
    return torch.randn(heads, *shape, generator=torch.Generator().manual_seed(seed))


def interpolated(logits: torch.Tensor, shape, nearest_axes=()) -> torch.Tensor:
    """(heads, *shape) float64, all classes at all voxels, by torch."""
    values = logits.double()[None]
    for axis in nearest_axes:
        size = [shape[a] if a == axis else values.shape[2 + a] for a in range(3)]
        values = nn.functional.interpolate(values, size=size, mode="nearest-exact")
    return nn.functional.interpolate(values, size=tuple(shape), mode="trilinear", align_corners=False)[0]


def assert_equal_but_for_ties(labels: np.ndarray, reference: torch.Tensor, scheme: LabelScheme) -> None:
    expected = logits_to_segmentation(reference, scheme).numpy()
    if scheme.has_regions:
        close = (reference.abs() < TIE).any(0)
    else:
        top = reference.topk(2, dim=0).values
        close = top[0] - top[1] < TIE
    differing = labels != expected
    assert not (differing & ~close.numpy()).any()
    assert differing.mean() < 0.001


def labels_of(logits, shape, scheme, spacing=ISOTROPIC, new_spacing=ISOTROPIC, resampler=LINEAR) -> np.ndarray:
    grid = grid_interpolation(logits.shape[1:], shape, spacing, new_spacing, resampler)
    labels = np.full(shape, 77, np.uint8 if len(scheme.foreground_labels) < 255 else np.uint16)
    fill_labels(labels, logits, grid, scheme)
    return labels


@pytest.fixture(params=[None, (4, 5, 6)], ids=["large tiles", "small tiles"])
def tiles(request, monkeypatch):
    """Small tiles have few classes each, so that others win inside of them."""
    if request.param:
        monkeypatch.setattr(interpolated_tiles, "TILE_SHAPE", request.param)
        monkeypatch.setattr(resampled_labels, "RUN", 64)


@pytest.mark.parametrize("make", [smooth, noisy])
@pytest.mark.parametrize("shape", [(20, 30, 14), (13, 14, 31), (4, 7, 5), (9, 5, 29), (1, 40, 1), SHAPE])
def test_labels_are_those_of_interpolated_logits(make, shape, tiles):
    for heads in (2, 3, 40):
        logits = make(heads)
        assert_equal_but_for_ties(labels_of(logits, shape, classes(heads)), interpolated(logits, shape), classes(heads))


@pytest.mark.parametrize("make", [smooth, noisy])
@pytest.mark.parametrize("shape", [(20, 30, 14), (4, 7, 5), SHAPE])
def test_regions_are_the_signs_of_interpolated_logits_in_their_order(make, shape, tiles):
    logits = make(3, seed=4)
    assert_equal_but_for_ties(labels_of(logits, shape, REGIONS), interpolated(logits, shape), REGIONS)


@pytest.mark.parametrize("scheme", [classes(5), REGIONS], ids=["classes", "regions"])
@pytest.mark.parametrize(
    ("shape", "nearest_axes", "spacings", "order"),
    [
        ((20, 28, 25), (0,), ((5, 1, 1), (2.2, 0.5, 0.5)), 1),
        ((9, 28, 25), (0,), ((5, 1, 1), (5, 0.5, 0.5)), 1),
        ((20, 28, 25), (2,), ((1, 1, 5), (0.5, 0.5, 2.4)), 1),
        ((20, 9, 25), (0, 1, 2), (ISOTROPIC, ISOTROPIC), 0),
    ],
    ids=["separate z", "slices as they are", "separate x", "all nearest"],
)
def test_axes_are_taken_by_nearest_neighbour_where_the_plan_says_so(
    scheme, shape, nearest_axes, spacings, order, tiles
):
    for make in (smooth, noisy):
        logits = make(scheme.head_count, seed=5)
        labels = labels_of(logits, shape, scheme, *spacings, replace(LINEAR, order=order))
        assert_equal_but_for_ties(labels, interpolated(logits, shape, nearest_axes), scheme)


def test_without_resampling_it_is_the_argmax_and_the_first_of_equal_ones():
    logits = torch.randint(0, 3, (6, *SHAPE), generator=torch.Generator().manual_seed(1)).float()
    np.testing.assert_array_equal(labels_of(logits, SHAPE, classes(6)), logits.numpy().argmax(0))


@pytest.mark.parametrize("behind", [4.9, 2.6])
def test_a_class_that_wins_nowhere_wins_between_two_others(behind):
    logits = torch.tensor([[5.0, 0.0], [0.0, 5.0], [behind, behind], [-9.0, -9.0]]).reshape(4, 1, 1, 2)
    labels = labels_of(logits, (1, 1, 200), classes(4)).ravel()
    assert (labels[0], labels[100], labels[-1]) == (0, 2, 1)
    assert_equal_but_for_ties(labels[None, None], interpolated(logits, (1, 1, 200)), classes(4))


def test_the_few_voxels_where_another_class_may_win_are_looked_at_one_by_one(monkeypatch):
    logits = smooth(6, noise=0)
    logits[5] = logits.topk(3, dim=0).values[2]  # wins nowhere, and hardly anywhere in between
    logits[5, 4:6, 6:8, 5:7] = logits[:, 4:6, 6:8, 5:7].amax(0) - 0.01
    asked = []
    at = interpolated_tiles.Tile.interpolate_at
    monkeypatch.setattr(interpolated_tiles.Tile, "interpolate_at", lambda *a: asked.append(len(a[2][0])) or at(*a))
    shape = (30, 40, 36)
    assert_equal_but_for_ties(labels_of(logits, shape, classes(6)), interpolated(logits, shape), classes(6))
    assert 0 < sum(asked) < 0.05 * np.prod(shape)


def test_where_neighbours_agree_nothing_is_interpolated(monkeypatch):
    logits = noisy(7, (40, 40, 80))
    logits[3] += 20
    logits[3, 30:, 30:, 70:] -= 40  # a corner where all classes mix
    tiles = []
    interpolate = interpolated_tiles.Tile.interpolate
    monkeypatch.setattr(interpolated_tiles.Tile, "interpolate", lambda *a: tiles.append(a[0].target) or interpolate(*a))
    labels = labels_of(logits, (60, 60, 120), classes(7))
    assert set(np.unique(labels)) == set(range(7))
    assert {tuple(part.start for part in tile) for tile in tiles} == {(32, 32, 64)}
    monkeypatch.undo()
    assert_equal_but_for_ties(labels, interpolated(logits, (60, 60, 120)), classes(7))


@pytest.mark.parametrize(
    "kind", [torch.float16, torch.bfloat16, torch.float64, "channels last", "transposed", "memory-mapped", "gradients"]
)
def test_logits_may_be_of_any_number_format_and_layout(kind, tmp_path):
    logits = smooth(5)
    if isinstance(kind, torch.dtype):
        given = logits = logits.to(kind)
    elif kind == "channels last":
        given = logits[None].contiguous(memory_format=torch.channels_last_3d)[0]
    elif kind == "transposed":
        given = logits.transpose(1, 3).contiguous().transpose(1, 3)
    elif kind == "memory-mapped":
        logits.numpy().tofile(tmp_path / "logits")
        mapped = np.memmap(tmp_path / "logits", np.float32, mode="c", shape=tuple(logits.shape))
        given = torch.from_numpy(mapped)
    else:
        given = logits.clone().requires_grad_()
    before = given.detach().clone()
    labels = labels_of(given, (20, 30, 14), classes(5))
    assert_equal_but_for_ties(labels, interpolated(logits, (20, 30, 14)), classes(5))
    assert torch.equal(given.detach(), before)


def test_three_hundred_classes_are_uint16():
    logits = noisy(300)
    labels = labels_of(logits, (12, 20, 13), classes(300))
    assert labels.dtype == np.uint16
    assert labels.max() > 255
    assert_equal_but_for_ties(labels, interpolated(logits, (12, 20, 13)), classes(300))


@pytest.mark.parametrize("scheme", [classes(5), classes(300), REGIONS], ids=["classes", "many classes", "regions"])
def test_the_way_of_a_gpu_gives_the_same(scheme):
    logits, shape = noisy(scheme.head_count), (12, 20, 13)
    grid = grid_interpolation(SHAPE, shape, ISOTROPIC, ISOTROPIC, LINEAR)
    labels = np.full(shape, 77, np.uint8 if scheme.head_count < 256 else np.uint16)
    fill_labels_from_slabs(labels, logits, grid, scheme)
    assert_equal_but_for_ties(labels, interpolated(logits, shape), scheme)
    assert (labels != labels_of(logits, shape, scheme)).mean() < 0.001


def test_the_allocations_are_a_small_part_of_the_logits():
    logits = smooth(60, (40, 64, 64))
    shape = (60, 96, 96)
    for given in (logits, noisy(60, (40, 64, 64))):
        tracemalloc.start()
        labels = labels_of(given, shape, classes(60))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak - labels.nbytes < (0.1 + 0.1 * torch.get_num_threads()) * 4 * given.numel()


def case(shape, axis_order=(0, 1, 2), border=(2, 0, 3)):
    """Where a volume was cut out of an image, and the configuration that it was resampled to."""
    box = tuple((margin, margin + size) for margin, size in zip(border, shape, strict=True))
    full_shape = tuple(upper + 1 for _, upper in box)
    geometry = CaseGeometry(SourceHeader(ISOTROPIC), axis_order, full_shape, box)
    configuration = SimpleNamespace(spacing=(1.5, 1.5, 1.5), resampling=SimpleNamespace(probabilities=LINEAR))
    return geometry, configuration


@pytest.mark.parametrize("axis_order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_labels_lie_where_the_image_was_cut_out_and_turned(axis_order):
    shape = (14, 20, 18)
    geometry, configuration = case(shape, axis_order)
    logits = smooth(4)
    exported = export(logits, geometry, configuration, classes(4))
    assert exported.probabilities is None
    assert exported.labels.flags.c_contiguous
    turned = exported.labels.transpose(axis_order)
    assert turned.shape == geometry.shape_before_cropping
    inside = tuple(slice(*bounds) for bounds in geometry.bounding_box)
    assert_equal_but_for_ties(turned[inside], interpolated(logits, shape), classes(4))
    rest = turned.copy()
    rest[inside] = 0
    assert not rest.any()


@pytest.mark.parametrize("scheme", [classes(4), REGIONS], ids=["classes", "regions"])
def test_labels_and_probabilities_belong_together(scheme):
    geometry, configuration = case((14, 20, 18), (2, 0, 1))
    logits = smooth(scheme.head_count)
    exported = export(logits, geometry, configuration, scheme, with_probabilities=True)
    alone = export(logits, geometry, configuration, scheme)
    assert (exported.labels != alone.labels).mean() < 0.001
    assert exported.probabilities.flags.c_contiguous
    assert exported.probabilities.shape == (scheme.head_count, *exported.labels.shape)
    reference = interpolated(logits, (14, 20, 18))
    expected = reference.sigmoid() if scheme.has_regions else reference.softmax(0)
    turned = exported.probabilities.transpose(0, 3, 1, 2)
    inside = tuple(slice(*bounds) for bounds in geometry.bounding_box)
    np.testing.assert_allclose(turned[(slice(None), *inside)], expected.numpy(), atol=1e-5)
    assert turned[0, 0, 0, 0] == (0 if scheme.has_regions else 1)


@pytest.mark.parametrize("with_probabilities", [False, True])
@pytest.mark.parametrize("shape", [(14, 20, 18), (5, 8, 7), SHAPE])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_logits_that_come_slab_by_slab_give_what_they_give_at_once(axis, shape, with_probabilities):
    geometry, configuration = case(shape, (1, 2, 0))
    for thickness in (1, 2, 5, 50):
        logits = noisy(6)
        whole = export(logits, geometry, configuration, classes(6), with_probabilities)
        exporter = Exporter(SHAPE, geometry, configuration, classes(6), with_probabilities, axis)
        buffer = torch.empty(6, *[thickness if a == axis else size for a, size in enumerate(SHAPE)])
        for start in range(0, SHAPE[axis], thickness):
            part = logits.narrow(1 + axis, start, min(thickness, SHAPE[axis] - start))
            slab = buffer.narrow(1 + axis, 0, part.shape[1 + axis])
            slab.copy_(part)
            exporter.add(start, slab)
            buffer.fill_(torch.nan)
        exported = exporter.result()
        np.testing.assert_array_equal(exported.labels, whole.labels)
        if with_probabilities:
            np.testing.assert_allclose(exported.probabilities, whole.probabilities, atol=1e-6)


def test_slabs_that_do_not_follow_each_other_are_refused():
    geometry, configuration = case((14, 20, 18))
    exporter = Exporter(SHAPE, geometry, configuration, classes(3))
    exporter.add(0, noisy(3, (4, 14, 12)))
    with pytest.raises(ValueError, match="does not continue"):
        exporter.add(5, noisy(3, (4, 14, 12)))
    with pytest.raises(ValueError, match="does not continue"):
        exporter.add(4, noisy(3, (5, 14, 11)))
    with pytest.raises(ValueError, match="missing"):
        exporter.result()
