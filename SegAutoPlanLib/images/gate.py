"""The gate that every image file passes: what its header promises is known before a voxel is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import FileError
from .header_promise import HeaderPromise, require_promise, require_scalar
from .metaimage_header import metaimage_promise
from .nifti_check import promise_of
from .nifti_file import START_BYTES, header_of
from .nrrd_header import nrrd_promise
from .opening import opened
from .picture_headers import bmp_promise, gipl_promise, jpeg_promise, png_promise
from .signatures import (
    BMP,
    GIPL,
    GZIP,
    JPEG,
    METAIMAGE,
    NIFTI,
    NRRD,
    PICTURES,
    PNG,
    TIFF,
    TYPES_OF_ENDING,
    require_ending,
    type_of,
)
from .tiff_pages import read_tiff_pages, tiff_promise


def require_sound_file(path: Path, may_have_components: bool = False) -> HeaderPromise:
    """Refuse a file that is none, is of another type than its ending says, or whose header cannot be true.

    Args:
        may_have_components: whether a volume may have several numbers per voxel, as layers of segments do.

    Raises:
        UserInputError: the first thing that is wrong.
    """
    with opened(path) as (stream, file_bytes):
        start = stream.read(START_BYTES)
        kind = type_of(start)
        require_ending(kind, path)
        stream.seek(0)
        promise = _promise(kind, start, stream, file_bytes, path)
    require_promise(promise, path)
    if not may_have_components and kind not in PICTURES:
        require_scalar(promise.components, path)
    return promise


def _promise(kind: str | None, start: bytes, stream: BinaryIO, file_bytes: int, path: Path) -> HeaderPromise:
    if kind in (NIFTI, GZIP):
        return promise_of(header_of(start, file_bytes, path), file_bytes, kind == GZIP)
    if kind == TIFF:
        return tiff_promise(read_tiff_pages(stream, file_bytes, path), file_bytes, path)
    if kind in READERS:
        return READERS[kind](stream, file_bytes, path)
    raise FileError(path, "is not an image of a known type", "convert it to one of " + ", ".join(TYPES_OF_ENDING))


READERS: dict[str, Callable[[BinaryIO, int, Path], HeaderPromise]] = {
    NRRD: nrrd_promise,
    METAIMAGE: metaimage_promise,
    GIPL: gipl_promise,
    PNG: png_promise,
    BMP: bmp_promise,
    JPEG: jpeg_promise,
}
