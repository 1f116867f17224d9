"""The beginning of an image file, and whether it is of the type that its ending says."""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import SYSTEM_PROBLEMS, FileError
from ..files import open_regular
from .header_promise import COPY_AGAIN, CUT_SHORT
from .nifti import GZIP_MAGIC, parse_header

START_BYTES = 8192
"""Of the file; more than any header's fixed part."""
MOST_INFLATED_START = 8192
NIFTI, NRRD, METAIMAGE, GIPL = "NIfTI", "NRRD", "MetaImage", "GIPL"
PNG, BMP, TIFF = "PNG", "BMP", "TIFF"
TYPE_OF_ENDING = {
    ".nii.gz": NIFTI,
    ".nii": NIFTI,
    ".nrrd": NRRD,
    ".nhdr": NRRD,
    ".mha": METAIMAGE,
    ".mhd": METAIMAGE,
    ".gipl": GIPL,
    ".png": PNG,
    ".bmp": BMP,
    ".tif": TIFF,
    ".tiff": TIFF,
}
SIGNATURES = (
    (b"NRRD0", NRRD),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"BM", BMP),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"\xff\xd8\xff", "JPEG"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x89HDF", "HDF5"),
)
GIPL_MAGIC_OFFSET = 252
GIPL_MAGIC = (b"\x2a\xe3\x89\xb8", b"\xef\xff\xe9\xb0")
METAIMAGE_KEY = re.compile(rb"(?:^|\n)[ \t]*NDims[ \t]*=")


@dataclass(frozen=True)
class FileStart:
    """What the first bytes tell of a file before anything else of it is read."""

    content: bytes
    """The first bytes, inflated where the file is gzipped."""
    file_bytes: int
    gzipped: bool
    type: str | None
    """By the content; None where nothing known begins so."""


def read_start(path: Path) -> FileStart:
    """The beginning of the file, which is of the type that its ending says.

    Raises:
        FileError: it is missing, no ordinary file, not readable, empty, or of another type.
    """
    with opened(path) as (stream, file_bytes):
        raw = stream.read(START_BYTES)
    return start_of(raw, file_bytes, path)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """An ordinary file to read from, and how many bytes it has; whatever the system refuses is a sentence.

    Raises:
        FileError: it is missing, no ordinary file, or not readable.
    """
    try:
        with open(open_regular(path), "rb") as stream:
            yield stream, os.fstat(stream.fileno()).st_size
    except FileNotFoundError:
        raise FileError(path, "the file is missing", "add it, or remove the case from the dataset") from None
    except OSError as error:
        problem = SYSTEM_PROBLEMS.get(error.errno, (f"the system refuses to read it ({error.strerror})", COPY_AGAIN))
        raise FileError(path, *problem) from error


def start_of(raw: bytes, file_bytes: int, path: Path) -> FileStart:
    """What the first bytes (or all of them) tell of the file.

    Raises:
        FileError: it is empty, or of another type than its ending says.
    """
    if not raw:
        raise FileError(path, "is empty", COPY_AGAIN)
    gzipped = raw.startswith(GZIP_MAGIC)
    content = _inflated(raw[:START_BYTES], path) if gzipped else raw[:START_BYTES]
    found = _type_of(content)
    _require_type(found, gzipped, content, path)
    return FileStart(content, file_bytes, gzipped, found)


def type_of_ending(path: Path) -> str | None:
    """The type that the ending of a file promises; None for an ending that is not among ours."""
    name = path.name.lower()
    return next((kind for ending, kind in TYPE_OF_ENDING.items() if name.endswith(ending)), None)


def _type_of(content: bytes) -> str | None:
    if parse_header(content) is not None:
        return NIFTI
    if content[GIPL_MAGIC_OFFSET : GIPL_MAGIC_OFFSET + 4] in GIPL_MAGIC:
        return GIPL
    known = next((kind for signature, kind in SIGNATURES if content.startswith(signature)), None)
    return known or (METAIMAGE if METAIMAGE_KEY.search(content) else None)


def _require_type(found: str | None, gzipped: bool, content: bytes, path: Path) -> None:
    wanted = type_of_ending(path)
    if wanted is None:
        return
    if found == wanted and (not gzipped or wanted == NIFTI):
        return
    if gzipped and wanted == NIFTI and len(content) < 348:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    if found is None and not gzipped:
        raise FileError(
            path, f"does not begin as a {wanted} file does", f"it is damaged or of another type: {COPY_AGAIN}"
        )
    what = f"{'gzipped ' if gzipped else ''}{found or 'file of an unknown type'}"
    raise FileError(
        path,
        f"is by its content not {wanted}, as its ending says, but {what}",
        "give it the ending of the type that it has, or export it again",
    )


def _inflated(raw: bytes, path: Path) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, MOST_INFLATED_START)
    except zlib.error as error:
        raise FileError(path, f"is damaged ({error})", COPY_AGAIN) from error
