"""Changes drawn from ranges: everything that chance decides about a patch, and nothing else. No torch needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TypeVar

import numpy as np

from . import changes, ranges
from .changes import Change, Changes, PerChannel, SpaceChange
from .geometry import AugmentationGeometry
from .ranges import Factors, Ranges, SpaceRanges

T = TypeVar("T")
Rng = np.random.Generator


@dataclass(frozen=True)
class Subject:
    """What is changed, as far as chance must know it."""

    channels: int
    geometry: AugmentationGeometry
    mirror_axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.geometry.patch_size


def draw_changes(space: SpaceRanges | None, steps: Sequence[Ranges], subject: Subject, rng: Rng) -> Changes:
    """What happens to one patch."""
    drawn = (draw_step(step, subject, rng) for step in steps if _happens(step, rng))
    return Changes(
        space=None if space is None else draw_space(space, subject.geometry, rng),
        steps=tuple(change for change in drawn if change is not None),
    )


def draw_space(space: SpaceRanges, geometry: AugmentationGeometry, rng: Rng) -> SpaceChange | None:
    """Angles, scales and displacements; None if the patch is only cropped."""
    rotated, scaled, bent = (rng.random() < p for p in (space.p_rotation, space.p_scaling, space.p_elastic))
    edges = geometry.patch_size[1:] if geometry.in_plane_only else geometry.patch_size
    angles = (0.0,) * (3 if len(edges) == 3 else 1)
    scales = (1.0,) * len(edges)
    if rotated:
        turns = rng.uniform(-geometry.rotation, geometry.rotation, len(angles))
        turned = rng.random(len(angles)) < space.rotation_per_axis
        angles = tuple(float(angle) if is_turned else 0.0 for angle, is_turned in zip(turns, turned, strict=True))
    if scaled:
        factors = rng.uniform(*space.scaling, len(edges) if space.scaling_per_axis else 1)
        scales = tuple(float(factor) for factor in np.broadcast_to(factors, len(edges)))
    elastic = _draw_elastic(space, edges, rng) if bent else None
    if elastic is None and not any(angles) and all(scale == 1 for scale in scales):
        return None
    return SpaceChange(angles, scales, elastic, geometry.in_plane_only, space.nearest_image, space.nearest_labels)


def _draw_elastic(space: SpaceRanges, edges: Sequence[int], rng: Rng) -> changes.ElasticChange:
    share = rng.uniform(*space.elastic_width)
    widths = tuple(share * edge for edge in edges)
    return changes.ElasticChange(
        seed=_seed(rng),
        widths_voxels=widths,
        strengths_voxels=tuple(width * rng.uniform(*space.elastic_strength) for width in widths),
    )


def _happens(step: Ranges, rng: Rng) -> bool:
    return rng.random() < getattr(step, "p", 1.0)


@singledispatch
def draw_step(step: Ranges, subject: Subject, rng: Rng) -> Change | None:
    """A change of a sample that is to be changed so; None if nothing is left to do."""
    raise TypeError(f"nothing is known of {type(step).__name__}")


@draw_step.register
def _(step: ranges.OneOf, subject: Subject, rng: Rng) -> Change | None:
    choice = step.choices[rng.integers(len(step.choices))]
    return draw_step(choice, subject, rng) if _happens(choice, rng) else None


@draw_step.register
def _(_step: ranges.QuarterTurns, subject: Subject, rng: Rng) -> Change | None:
    axes = _equal_axes(subject.shape)
    if not axes:
        return None
    first, second = sorted(int(axis) for axis in rng.choice(axes, 2, replace=False))
    return changes.QuarterTurn((first, second), int(rng.integers(4)))


@draw_step.register
def _(_step: ranges.AxisSwaps, subject: Subject, rng: Rng) -> Change | None:
    axes = _equal_axes(subject.shape)
    order = list(range(len(subject.shape)))
    for axis, other in zip(axes, rng.permutation(axes), strict=True):
        order[axis] = int(other)
    return changes.AxisOrder(tuple(order)) if axes else None


@draw_step.register
def _(_step: ranges.Mirror, subject: Subject, rng: Rng) -> Change | None:
    axes = tuple(axis for axis in subject.mirror_axes if rng.random() < 0.5)
    return changes.Flip(axes) if axes else None


@draw_step.register
def _(step: ranges.Noise, _subject: Subject, rng: Rng) -> Change:
    return changes.AddedNoise(rng.uniform(*step.deviation), _seed(rng))


@draw_step.register
def _(step: ranges.Blur, subject: Subject, rng: Rng) -> Change:
    axes = len(subject.shape)

    def widths() -> tuple[float, ...]:
        drawn = rng.uniform(*step.sigma_voxels, axes if step.per_axis else 1)
        return tuple(float(width) for width in np.broadcast_to(drawn, axes))

    return changes.Blurred(_per_channel(subject, step.per_channel, widths, rng))


@draw_step.register
def _(step: ranges.MedianFilter, subject: Subject, rng: Rng) -> Change:
    edges = _per_channel(subject, step.per_channel, lambda: int(rng.integers(*step.edge_voxels)), rng)
    return changes.MedianFiltered(edges)


@draw_step.register
def _(step: ranges.Brightness, subject: Subject, rng: Rng) -> Change:
    return changes.Brightened(_factors(subject, 1.0, step.factor, rng))


@draw_step.register
def _(step: ranges.BrightnessShift, subject: Subject, rng: Rng) -> Change:
    return changes.Shifted(_per_channel(subject, step.per_channel, lambda: rng.normal(0, step.deviation), rng))


@draw_step.register
def _(step: ranges.Contrast, subject: Subject, rng: Rng) -> Change:
    keeps_range = bool(rng.random() < step.keeps_range)
    return changes.Contrasted(_factors(subject, step.per_channel, step.factor, rng), keeps_range)


@draw_step.register
def _(step: ranges.LowResolution, subject: Subject, rng: Rng) -> Change:
    axes = range(1 if subject.geometry.in_plane_only else 0, len(subject.shape))
    zooms = _per_channel(subject, step.per_channel, lambda: rng.uniform(*step.zoom), rng)
    return changes.LowResolved(zooms, tuple(axes))


@draw_step.register
def _(step: ranges.Gamma, subject: Subject, rng: Rng) -> Change:
    return changes.GammaCorrected(_factors(subject, 1.0, step.exponent, rng), step.inverted)


@draw_step.register
def _(step: ranges.BlankBoxes, subject: Subject, rng: Rng) -> Change:
    def boxes() -> tuple[changes.Box, ...]:
        return tuple(_box(step, subject.shape, rng) for _ in range(rng.integers(*step.count)))

    return changes.Blanked(tuple(drawn or () for drawn in _per_channel(subject, step.per_channel, boxes, rng)))


@draw_step.register
def _(step: ranges.BrightnessGradient, subject: Subject, rng: Rng) -> Change:
    bumps = _per_channel(subject, step.per_channel, lambda: _bump(step, subject.shape, rng), rng)
    strengths = (None if bump is None else _sign(rng) * rng.uniform(*step.strength) for bump in bumps)
    return changes.GradientAdded(bumps, tuple(strengths))


@draw_step.register
def _(step: ranges.LocalGamma, subject: Subject, rng: Rng) -> Change:
    bumps = _per_channel(subject, step.per_channel, lambda: _bump(step, subject.shape, rng), rng)
    exponents = (None if bump is None else rng.uniform(*step.exponents[rng.integers(2)]) for bump in bumps)
    return changes.GammaCorrectedLocally(bumps, tuple(exponents))


@draw_step.register
def _(step: ranges.Sharpening, subject: Subject, rng: Rng) -> Change:
    return changes.Sharpened(_per_channel(subject, step.per_channel, lambda: rng.uniform(*step.strength), rng))


def draw_factor(factors: Factors, rng: Rng) -> float:
    """Uniform below 1 or above 1, with even chances."""
    lowest, highest = factors
    return float(rng.uniform(lowest, 1) if rng.random() < 0.5 else rng.uniform(1, highest))


def _factors(subject: Subject, probability: float, factors: Factors, rng: Rng) -> PerChannel:
    return _per_channel(subject, probability, lambda: draw_factor(factors, rng), rng)


def _per_channel(subject: Subject, probability: float, draw: Callable[[], T], rng: Rng) -> tuple[T | None, ...]:
    return tuple(draw() if rng.random() < probability else None for _ in range(subject.channels))


def _equal_axes(shape: tuple[int, ...]) -> list[int]:
    """The axes that are as long as most others; none if all lengths differ."""
    alike = [shape.count(length) for length in shape]
    most = max(alike)
    return [axis for axis, count in enumerate(alike) if count == most] if most > 1 else []


def _box(step: ranges.BlankBoxes, shape: tuple[int, ...], rng: Rng) -> changes.Box:
    most, fewest = step.edge_shares
    edges = [int(rng.integers(max(1, length // most), max(2, length // fewest))) for length in shape]
    lower = [int(rng.integers(length - edge + 1)) for length, edge in zip(shape, edges, strict=True)]
    return changes.Box(tuple(lower), tuple(low + edge for low, edge in zip(lower, edges, strict=True)))


def _bump(step: ranges.BrightnessGradient | ranges.LocalGamma, shape: tuple[int, ...], rng: Rng) -> changes.Bump:
    widths = (math.exp(rng.uniform(math.log(max(1, length // step.narrowest)), math.log(length))) for length in shape)
    return changes.Bump(tuple(rng.uniform(*step.centre) * length for length in shape), tuple(widths))


def _sign(rng: Rng) -> int:
    return -1 if rng.random() < 0.5 else 1


def _seed(rng: Rng) -> int:
    return int(rng.integers(2**62))
