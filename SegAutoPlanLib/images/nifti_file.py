"""Reading NIfTI files without ITK: the header checked first, never more inflated than it promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FileError
from .header_promise import COPY_AGAIN, CUT_SHORT
from .inflating import GZIP_MAGIC, inflate, inflated_start
from .nifti import NiftiHeader, voxels_of
from .nifti_check import require_nifti
from .opening import read_whole
from .signatures import require_ending, type_of

START_BYTES = 2048
SHORTEST_HEADER, HEADER_BYTES = 348, 544
"""Enough for NIfTI-1 (348) and NIfTI-2 (540)."""


def read_nifti(path: Path) -> tuple[NiftiHeader, np.ndarray]:
    """The header and the stored voxels (…, z, y, x), unscaled, as a read-only view of the file's bytes.

    Raises:
        FileError: the file is missing, cut short, damaged, or not NIfTI with real scalar voxels.
    """
    return parse_nifti(read_whole(path), path)


def parse_nifti(content: bytes, path: Path) -> tuple[NiftiHeader, np.ndarray]:
    """The same from the bytes of the file.

    Raises:
        FileError: as for `read_nifti`, but for a missing file.
    """
    start = content[:START_BYTES]
    require_ending(type_of(start), path)
    header = header_of(start, len(content), path)
    if content[:2] == GZIP_MAGIC:
        content = inflate(content, header.bytes_with_voxels, path)
    if len(content) < header.bytes_with_voxels:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    return header, voxels_of(header, content)


def header_of(beginning: bytes, file_bytes: int, path: Path) -> NiftiHeader:
    """The checked header of a file that begins so and has so many bytes.

    Raises:
        FileError: the first thing that is wrong with it.
    """
    gzipped = beginning[:2] == GZIP_MAGIC
    start = inflated_start(beginning, HEADER_BYTES) if gzipped else beginning
    if gzipped and len(start) < SHORTEST_HEADER:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    return require_nifti(start, file_bytes, gzipped, path)
