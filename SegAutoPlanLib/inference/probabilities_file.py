"""nnU-Net's archives of probabilities (`CASE.npz`), read and written one class at a time.

What is read may be a stranger's: nothing of it is unpickled, and no more is inflated than the segmentation beside it
has voxels.
"""

from __future__ import annotations

import contextlib
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import FileError
from ..files import atomic_path, open_regular

PROBABILITIES = "probabilities.npy"
LONGEST_ARRAY_HEADER = 1024
ENCRYPTED = 1
TOLERANCE = 1e-3
"""By which a sum of rounded numbers may leave the range from 0 to 1."""
ROOM_FOR_HEADERS = 1 << 20
DAMAGED = (KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, SyntaxError, tokenize.TokenError)
"""What zipfile, zlib and numpy raise, which takes an array's header for Python."""
REMEDY = "segment the case again with --save-probabilities"


@dataclass(frozen=True)
class ArrayHeader:
    """What an array in an archive says of itself."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    length: int
    """Bytes, with the header."""


@contextlib.contextmanager
def open_array(file: Path) -> Iterator[tuple[zipfile.ZipInfo, ArrayHeader, IO[bytes]]]:
    """The entry of the probabilities in an archive, its header, and the stream behind that.

    Raises:
        one of DAMAGED: it is no such archive. KeyError: it has no probabilities.
    """
    with open(open_regular(file), "rb") as stream, zipfile.ZipFile(stream) as archive:
        entry = archive.getinfo(PROBABILITIES)
        if entry.flag_bits & ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is encrypted, or packed in an unusual way")
        with archive.open(entry) as array:
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, fortran_order, dtype = read_header[np.lib.format.read_magic(array)](array, LONGEST_ARRAY_HEADER)
            length = array.tell() + math.prod(shape) * dtype.itemsize
            yield entry, ArrayHeader(shape, fortran_order, dtype, length), array


def read_heads(file: Path, shape: Sequence[int]) -> Iterator[np.ndarray]:
    """The probabilities (z, y, x) float32 of each class or region, in their order.

    Args:
        shape: (heads, z, y, x) that it must have.

    Raises:
        FileError: it is damaged, has another shape, or holds what is no probability.
    """
    try:
        _require_small(file, shape)
        with open_array(file) as (entry, header, stream):
            _require_as_expected(file, header, entry.file_size, shape)
            yield from _heads(file, header, stream)
            if stream.read(1):  # the last read also compares the checksum
                raise ValueError("more follows than its header says")
    except FileError:
        raise
    except DAMAGED as error:
        raise FileError(file, f"is damaged or no archive of probabilities ({error})", REMEDY) from error


@contextlib.contextmanager
def writing_heads(target: Path, shape: Sequence[int]) -> Iterator[Callable[[np.ndarray], object]]:
    """A function that takes the probabilities (z, y, x) of one class after the other; the file is there in the end.

    Raises:
        UserInputError: the disk is full.
    """
    with (
        atomic_path(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(PROBABILITIES, "w", force_zip64=True) as stream,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(stream, header)
        yield lambda head: stream.write(np.ascontiguousarray(head, "<f4").tobytes())


def _require_small(file: Path, shape: Sequence[int]) -> None:
    # An archive's list of its members is read whole.
    largest = 8 * math.prod(shape) + ROOM_FOR_HEADERS
    if os.stat(file).st_size > largest:
        raise FileError(file, f"has more than the {largest:,} bytes that its case can need", REMEDY)


def _require_as_expected(file: Path, header: ArrayHeader, size: int, shape: Sequence[int]) -> None:
    if header.dtype.kind != "f" or header.dtype.itemsize > 8:
        raise FileError(file, f"holds values of the type {str(header.dtype)[:40]} and not numbers", REMEDY)
    if header.shape != tuple(shape):
        raise FileError(
            file,
            f"has the shape {_by(header.shape)}, and its case {shape[0]} classes of {_by(shape[1:])} voxels",
            REMEDY,
        )
    if header.length != size:
        raise ValueError("it is not as long as its shape says")


def _heads(file: Path, header: ArrayHeader, stream: IO[bytes]) -> Iterator[np.ndarray]:
    if header.fortran_order:
        # Classes lie interleaved: rare, and no way but to hold all.
        whole = _values(stream, math.prod(header.shape), header.dtype).reshape(header.shape, order="F")
        parts = iter(whole)
    else:
        voxels = math.prod(header.shape[1:])
        parts = (_values(stream, voxels, header.dtype).reshape(header.shape[1:]) for _ in range(header.shape[0]))
    for part in parts:
        head = np.asarray(part, np.float32)
        # NaN passes no comparison.
        if not (head.min() >= -TOLERANCE and head.max() <= 1 + TOLERANCE):
            raise FileError(file, "holds values that are no probabilities from 0 to 1", REMEDY)
        yield head


def _values(stream: IO[bytes], count: int, dtype: np.dtype) -> np.ndarray:
    content = stream.read(count * dtype.itemsize)
    if len(content) != count * dtype.itemsize:
        raise EOFError("it ends too soon")
    return np.frombuffer(content, dtype)


def _by(shape: Sequence[int]) -> str:
    text = " × ".join(map(str, shape))
    return text if len(text) < 100 else f"{text[:100]} …"
