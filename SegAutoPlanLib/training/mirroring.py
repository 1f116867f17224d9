"""Which axes are mirrored, by the names that a recipe uses. No torch needed."""

from __future__ import annotations

from collections.abc import Callable


def all_axes(dimensions: int) -> tuple[int, ...]:
    """Every spatial axis, nnU-Net's default."""
    return tuple(range(dimensions))


def no_axis(_dimensions: int) -> tuple[int, ...]:
    """For bodies whose sides must not be mixed up: left and right are labels of their own."""
    return ()


def first_axes(dimensions: int) -> tuple[int, ...]:
    """All but the last: nnU-Net's `onlyMirror01`, for bodies whose left and right lie along the last."""
    return tuple(range(dimensions - 1))


MIRRORINGS: dict[str, Callable[[int], tuple[int, ...]]] = {"all": all_axes, "none": no_axis, "first": first_axes}
"""Number of spatial axes → those that are mirrored in training (transposed order), and may be in inference."""
