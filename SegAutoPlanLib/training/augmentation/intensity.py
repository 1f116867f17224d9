"""Changes of values: each takes an image (c, *patch) float32 and writes into it; shape and device stay."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import singledispatch
from typing import TypeVar

import torch
from scipy.ndimage import median_filter
from torch import Tensor
from torch.nn.functional import interpolate

from . import changes
from .changes import Bump, Change

SMALLEST_RANGE = 1e-7
KERNEL_DEVIATIONS = 6
"""A blurring kernel is about so many deviations wide."""
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}

T = TypeVar("T")


@singledispatch
def change_values(change: Change, image: Tensor) -> None:
    """Carry out one change of values."""
    raise TypeError(f"{type(change).__name__} is no change of values")


@change_values.register
def _(change: changes.AddedNoise, image: Tensor) -> None:
    # Each device has its own sequence; which numbers they are does not matter, only that the seed decides them.
    generator = torch.Generator(image.device).manual_seed(change.seed)
    noise = torch.empty_like(image).normal_(generator=generator)
    image.add_(noise, alpha=change.deviation)


@change_values.register
def _(change: changes.Blurred, image: Tensor) -> None:
    for channel, sigmas in _changed(image, change.sigmas_voxels):
        blurred = channel
        for axis, sigma in enumerate(sigmas):
            blurred = blur_axis(blurred, axis, sigma)
        channel.copy_(blurred)


@change_values.register
def _(change: changes.MedianFiltered, image: Tensor) -> None:
    for channel, edge in _changed(image, change.edges_voxels):
        channel.copy_(torch.from_numpy(median_filter(channel.cpu().numpy(), edge)))


@change_values.register
def _(change: changes.Brightened, image: Tensor) -> None:
    for channel, factor in _changed(image, change.factors):
        channel.mul_(factor)


@change_values.register
def _(change: changes.Shifted, image: Tensor) -> None:
    for channel, shift in _changed(image, change.shifts):
        channel.add_(shift)


@change_values.register
def _(change: changes.Contrasted, image: Tensor) -> None:
    for channel, factor in _changed(image, change.factors):
        mean = channel.mean()
        lowest, highest = torch.aminmax(channel)
        channel.sub_(mean).mul_(factor).add_(mean)
        if change.keeps_range:
            channel.clamp_(lowest, highest)


@change_values.register
def _(change: changes.LowResolved, image: Tensor) -> None:
    for channel, zoom in _changed(image, change.zooms):
        size = channel.shape
        small = [max(1, round(length * zoom)) if axis in change.axes else length for axis, length in enumerate(size)]
        shrunk = interpolate(channel[None, None], small, mode="nearest-exact")
        channel.copy_(interpolate(shrunk, size, mode=LINEAR[channel.ndim])[0, 0])


@change_values.register
def _(change: changes.GammaCorrected, image: Tensor) -> None:
    for channel, exponent in _changed(image, change.exponents):
        if change.inverted:
            channel.neg_()
        mean, deviation = channel.mean(), channel.std()
        lowest, highest = torch.aminmax(channel)
        extent = highest - lowest
        channel.sub_(lowest).div_(extent.clamp(min=SMALLEST_RANGE)).pow_(exponent).mul_(extent)
        channel.sub_(channel.mean()).mul_(deviation / channel.std().clamp(min=SMALLEST_RANGE)).add_(mean)
        if change.inverted:
            channel.neg_()


@change_values.register
def _(change: changes.Blanked, image: Tensor) -> None:
    for channel, boxes in zip(image, change.boxes, strict=True):
        for box in boxes:
            inside = channel[tuple(slice(*ends) for ends in zip(box.lower, box.upper, strict=True))]
            inside.copy_(inside.mean())


@change_values.register
def _(change: changes.GradientAdded, image: Tensor) -> None:
    for channel, (bump, strength) in _changed(image, _both(change.bumps, change.strengths)):
        weights = bump_weights(bump, channel)
        channel.add_(weights.div_(weights.max().clamp(min=SMALLEST_RANGE)), alpha=strength)


@change_values.register
def _(change: changes.GammaCorrectedLocally, image: Tensor) -> None:
    for channel, (bump, exponent) in _changed(image, _both(change.bumps, change.exponents)):
        lowest, highest = torch.aminmax(channel)
        extent = (highest - lowest).clamp(min=SMALLEST_RANGE)
        channel.sub_(lowest).div_(extent)
        channel.lerp_(channel.pow(exponent), bump_weights(bump, channel)).mul_(extent).add_(lowest)


@change_values.register
def _(change: changes.Sharpened, image: Tensor) -> None:
    for channel, strength in _changed(image, change.strengths):
        laplacian = 2.0 * channel.ndim * channel
        for axis in range(channel.ndim):
            length = channel.shape[axis]
            places = torch.arange(length, device=channel.device)
            for step in (-1, 1):
                laplacian -= channel.index_select(axis, (places + step).clamp(0, length - 1))
        channel.add_(laplacian, alpha=strength)


def blur_kernel(sigma: float) -> list[float]:
    """The right half of a Gaussian's weights, from its middle; the whole has the odd length nearest to 6σ + 0.5."""
    radius = max(0, math.floor((KERNEL_DEVIATIONS * sigma + 0.5) / 2))
    half = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(radius + 1)]
    total = half[0] + 2 * sum(half[1:])
    return [weight / total for weight in half]


def blur_axis(values: Tensor, axis: int, sigma: float) -> Tensor:
    """`values` filtered along one axis, reflected at its ends."""
    half = blur_kernel(sigma)
    radius, length = len(half) - 1, values.shape[axis]
    places = torch.arange(-radius, length + radius, device=values.device)
    period = max(1, 2 * (length - 1))
    places = places.remainder(period)
    padded = values.index_select(axis, torch.minimum(places, period - places).clamp(max=length - 1))
    blurred = padded.narrow(axis, radius, length) * half[0]
    for step, weight in enumerate(half[1:], start=1):
        blurred.add_(padded.narrow(axis, radius - step, length), alpha=weight)
        blurred.add_(padded.narrow(axis, radius + step, length), alpha=weight)
    return blurred


def bump_weights(bump: Bump, like: Tensor) -> Tensor:
    """What falls of a Gaussian into each voxel, per axis and multiplied, then scaled to 0 … 1."""
    weights = torch.ones((), device=like.device)
    for length, centre, width in zip(like.shape, bump.centres_voxels, bump.widths_voxels, strict=True):
        edges = torch.arange(length + 1, dtype=torch.float64) - 0.5
        below = torch.special.ndtr((edges - centre) / width)
        weights = weights[..., None] * below.diff().to(like)
    lowest, highest = torch.aminmax(weights)
    return (weights - lowest) / (highest - lowest).clamp(min=torch.finfo(weights.dtype).tiny)


def _both(bumps: tuple[Bump | None, ...], values: changes.PerChannel) -> tuple[tuple[Bump, float] | None, ...]:
    return tuple(None if bump is None else (bump, value) for bump, value in zip(bumps, values, strict=True))


def _changed(image: Tensor, values: tuple[T | None, ...]) -> Iterator[tuple[Tensor, T]]:
    for channel, value in zip(image, values, strict=True):
        if value is not None:
            yield channel, value
