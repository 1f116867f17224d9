"""Reading NIfTI files without ITK: checked first, and inflated as far as the header promises."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import FileError
from .file_start import START_BYTES, FileStart, opened, start_of
from .header_promise import COPY_AGAIN, CUT_SHORT
from .nifti import NiftiHeader, voxels_of
from .nifti_check import require_nifti

TRAILING_BYTES = 1 << 20
"""Some writers leave something behind the voxels; more than this is another image than the header says."""


def read_nifti(path: Path) -> tuple[NiftiHeader, np.ndarray]:
    """The header and the stored voxels (…, z, y, x), unscaled, as a read-only view of the file's bytes.

    Raises:
        FileError: the file is missing, cut short, damaged, or its header is not sound.
    """
    with opened(path) as (stream, file_bytes):
        beginning = stream.read(START_BYTES)
        start = start_of(beginning, file_bytes, path)
        header = require_nifti(start.content, file_bytes, start.gzipped, path)
        content = _content(stream, beginning, start, header.bytes_with_voxels, path)
    if len(content) < header.bytes_with_voxels:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    return header, voxels_of(header, content)


def _content(stream: BinaryIO, beginning: bytes, start: FileStart, promised: int, path: Path) -> bytes:
    if not start.gzipped:
        return beginning + stream.read(max(promised - len(beginning), 0))
    # Deflate adds less than a thousandth to what it cannot make smaller.
    if start.file_bytes > promised + promised // 1000 + TRAILING_BYTES:
        raise _too_much(path)
    return inflated(beginning + stream.read(start.file_bytes - len(beginning)), promised, path)


def inflated(packed: bytes, promised: int, path: Path) -> bytes:
    """The promised bytes of a gzip file of one or several members, its checksums verified.

    Raises:
        FileError: the file is cut short or damaged, or holds far more than it promises.
    """
    try:
        member = zlib.decompressobj(wbits=31)
        content = member.decompress(packed, promised)
        if not member.eof:
            member.decompress(member.unconsumed_tail, TRAILING_BYTES)
        if member.eof and not member.unused_data:
            return content
        del content
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as members:
            content = members.read(promised)
            if len(members.read(TRAILING_BYTES + 1)) > TRAILING_BYTES:
                raise _too_much(path)
        return content
    except EOFError as error:
        raise FileError(path, CUT_SHORT, COPY_AGAIN) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise FileError(path, f"is damaged ({error})", COPY_AGAIN) from error


def _too_much(path: Path) -> FileError:
    return FileError(path, "holds far more than its header promises", "correct the header, or export the image again")
