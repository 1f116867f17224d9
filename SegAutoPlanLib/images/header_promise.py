"""What the header of an image file promises, and whether it can be kept: asked before a voxel is read.

Every reader of file headers fills in the same record, so that the same fault is the same sentence in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import FileError
from ..machine import available_memory

COPY_AGAIN = "copy or export the file again"
CUT_SHORT = "is cut short: voxels are missing at its end"
CORRECT_HEADER = "correct the header, or export the image again"
SMALLEST_SPACING_MM, LARGEST_SPACING_MM = 1e-7, 1e6
"""An atom, and a kilometre: coarser than any satellite's pixel."""
LARGEST_ORIGIN_MM = 1e12
LARGEST_SCALING = 1e30
"""Of the factor and the summand of voxel values; beyond, float32 overflows."""
FLATTEST_DIRECTIONS = 1e-4
"""The volume of the cell that unit vectors along the axes span; 1 at right angles, 0 where they lie in a plane."""
MAX_RANK = 4
DEFLATE_RATIO = 1032
"""No deflate stream (gzip, zlib, PNG) is inflated to more than so many times its size."""
MOST_LEFT_OVER = 1 << 20
"""Padding after the last voxel that is passed over; more of it means that the header is not this file's."""
WORTH_ASKING_BYTES = 1 << 26
"""Every machine has that much."""
FLOAT_BYTES = 4

Stored = Literal["plain", "loosely", "deflated", "otherwise"]
"""How the voxels stand in the file: one after the other to its end, the same with something between or around them,
as a deflate stream, or so that its size tells nothing of their number."""


@dataclass(frozen=True)
class HeaderPromise:
    """The grid and the voxels that a header announces; axes in the order x, y, z, …"""

    shape: tuple[int, ...]
    voxel_bytes: int
    """Of all components; a bit counts as a byte, because it becomes one."""
    file_bytes: int
    stored: Stored
    data_offset: int = 0
    """In the file, or in what it is inflated to where the header is compressed too."""
    components: int = 1
    spacing: tuple[float, ...] | None = None
    """mm; None where the file type has none."""
    origin: tuple[float, ...] = ()
    directions: tuple[tuple[float, ...], ...] = ()
    """A vector for each of the first three axes, of any length."""
    stored_bits: int | None = None
    """Of a voxel in the file, where that is not 8 for each byte."""
    is_text: bool = False
    """Whether the header is text, which two programs may understand differently."""

    @property
    def values(self) -> int:
        """Voxels times components."""
        return math.prod(self.shape) * self.components

    @property
    def voxels_bytes(self) -> int:
        """What the voxels take in memory."""
        return math.prod(self.shape) * self.voxel_bytes

    @property
    def reading_bytes(self) -> int:
        """What reading holds at its peak: the library's voxels and their copy, or this and the float32 made of it."""
        return self.voxels_bytes + max(self.voxels_bytes, FLOAT_BYTES * self.values)

    @property
    def content_bytes(self) -> int:
        """From the beginning to the end of the last voxel."""
        bits = 8 * self.voxel_bytes if self.stored_bits is None else self.stored_bits
        return self.data_offset + math.prod(self.shape) * bits // 8


def require_promise(promise: HeaderPromise, path: Path) -> None:
    """Refuse a header that is nonsense, that the file is too small for, or that the memory is.

    Raises:
        FileError: the first of these.
    """
    _require_shape(promise.shape, path)
    if promise.spacing is not None:
        require_spacing(promise.spacing[:3], path)
        require_place(promise.origin, promise.directions, path)
    _require_voxels_in_file(promise, path)
    _require_memory(promise, path)


def require_spacing(spacing: Sequence[float], path: Path) -> None:
    """Refuse a voxel size that nothing has (mm, x first).

    Raises:
        FileError: it is zero, negative, NaN, infinite, below an atom's or above a kilometre.
    """
    if not all(SMALLEST_SPACING_MM <= value <= LARGEST_SPACING_MM for value in spacing):
        raise FileError(path, f"its spacing is {by(spacing[::-1])} mm (z, y, x)", CORRECT_HEADER)


def require_place(origin: Sequence[float], directions: Sequence[Sequence[float]], path: Path) -> None:
    """Refuse an origin (mm) or axes (a vector of any length for each) that place nothing in space.

    Raises:
        FileError: a number is none or absurd, or the axes lie in a plane.
    """
    if not all(abs(value) <= LARGEST_ORIGIN_MM for value in origin):
        raise FileError(path, f"its origin is {by(origin)} mm (x, y, z)", CORRECT_HEADER)
    if directions and not _cell_of(directions) > FLATTEST_DIRECTIONS:
        raise FileError(
            path, "its axes do not span a space (the direction matrix is singular or not finite)", CORRECT_HEADER
        )


def require_scalar(components: int, path: Path) -> None:
    """Refuse a volume with several numbers per voxel.

    Raises:
        FileError: it is a colour or vector image.
    """
    if components != 1:
        raise FileError(
            path,
            f"has {components} components per voxel (colours or vectors)",
            "save each of them as a file of its own",
        )


def most_bytes(promised: int) -> int:
    """How much a file may hold of which so much is promised: a little padding, less than the voxels once more."""
    return promised + min(MOST_LEFT_OVER, max(promised, 1024))


def require_few_left_over(found: int, promised: int, path: Path) -> None:
    """Refuse a file that goes on after its last voxel.

    Raises:
        FileError: more follows than padding.
    """
    if found > most_bytes(promised):
        raise FileError(
            path,
            "goes on after its last voxel: its header promises less than it holds",
            "correct the header, or export the image again",
        )


def unknown_voxels(what: str, path: Path) -> FileError:
    """The refusal of a voxel type that is not one real number."""
    return FileError(path, f"its voxels are {what}", "save it with whole or real numbers, one for each voxel")


def by(values: Sequence[float]) -> str:
    """Numbers of a grid in words."""
    return " x ".join(f"{value:g}" for value in values)


def _require_shape(shape: tuple[int, ...], path: Path) -> None:
    if not 2 <= len(shape) <= MAX_RANK:
        raise FileError(path, f"has {len(shape)} dimensions", "give 2-D, 3-D or 4-D images")
    if min(shape) < 1:
        raise FileError(path, f"its grid is {by(shape[::-1])} voxels (z, y, x)", CORRECT_HEADER)


def _cell_of(vectors: Sequence[Sequence[float]]) -> float:
    """NaN where a number is none; a product by hand, for numpy takes longer for three axes."""
    lengths = [math.hypot(*vector) for vector in vectors]
    if not all(0 < length < math.inf for length in lengths):
        return math.nan
    unit = [[value / length for value in vector] for vector, length in zip(vectors, lengths, strict=True)]
    if len(unit) == 2:
        cosine = sum(a * b for a, b in zip(*unit, strict=True))
        return math.sqrt(max(1 - cosine * cosine, 0.0))
    (a, b, c), (d, e, f), (g, h, i) = unit
    return abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def _require_voxels_in_file(promise: HeaderPromise, path: Path) -> None:
    most = promise.file_bytes
    if promise.stored == "deflated":
        most = most * DEFLATE_RATIO + 1024
    if promise.stored != "otherwise" and promise.content_bytes > most:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    if promise.stored == "plain":
        require_few_left_over(promise.file_bytes, promise.content_bytes, path)


def _require_memory(promise: HeaderPromise, path: Path) -> None:
    if promise.reading_bytes < WORTH_ASKING_BYTES:
        return
    free = available_memory()
    if free is not None and promise.reading_bytes > free:
        raise FileError(
            path,
            f"its header promises {_gigabytes(promise.voxels_bytes)} of voxels, and reading them takes "
            f"{_gigabytes(promise.reading_bytes)}, but {_gigabytes(free)} of memory are free",
            "correct the header, or use a machine with more memory",
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size < 10**18 else "more than a billion GB"
