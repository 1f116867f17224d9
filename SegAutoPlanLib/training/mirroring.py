"""Which axes are mirrored, by the names that a recipe uses. No torch needed."""

from __future__ import annotations

from collections.abc import Callable


def all_axes(dimensions: int) -> tuple[int, ...]:
    """Every spatial axis, nnU-Net's default."""
    return tuple(range(dimensions))


def no_axis(_dimensions: int) -> tuple[int, ...]:
    """For bodies whose sides must not be mixed up: left and right are labels of their own."""
    return ()


def all_but_last(dimensions: int) -> tuple[int, ...]:
    """The first two axes of a volume, the first of a slice: nnU-Net's `onlyMirror01`.

    The last axis of images without a transposition runs from one side of the body to the other.
    """
    return tuple(range(dimensions - 1))


MIRRORINGS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "all": all_axes,
    "none": no_axis,
    "all_but_last": all_but_last,
}
"""Number of spatial axes → those that are mirrored in training (transposed order), and may be in inference."""
