"""Files that end before their last voxel, which ITK reads and writes (full disk) without a word.

What is missing then is zeros, or in GIPL whatever the memory held before. NRRD, MetaImage and PNG ITK watches itself.
ITK's header reader cannot tell for all: it says neither where the voxels begin nor how a BMP pads its rows.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

from ..errors import FileError
from .header_promise import COPY_AGAIN, CUT_SHORT
from .inflating import GZIP_MAGIC, inflated_parts, inflated_start
from .nifti import parse_header
from .nifti_file import HEADER_BYTES
from .picture_headers import GIPL_HEADER_BYTES, GIPL_VOXEL_BYTES


def check_is_complete(path: Path) -> None:
    """Do nothing for a complete file, or one of a type that ITK itself watches.

    Raises:
        FileError: the file ends before its last voxel, or cannot be inflated.
    """
    if not _has_all_voxels(path):
        raise FileError(path, CUT_SHORT, COPY_AGAIN)


def is_complete(path: Path) -> bool:
    """Whether a NIfTI, GIPL or BMP file has all its voxels; True for other types."""
    try:
        return _has_all_voxels(path)
    except FileError:
        return False


def _has_all_voxels(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _nifti_is_complete(path)
    if name.endswith(".gipl"):
        return _gipl_is_complete(path)
    if name.endswith(".bmp"):
        return _bmp_is_complete(path)
    return True


def _nifti_is_complete(path: Path) -> bool:
    """For `.nii.gz` the length in gzip's trailer is compared, which costs two small reads; only where it does
    not agree (a cut file, several gzip members) the stream is followed to its end."""
    with path.open("rb") as stream:
        beginning = stream.read(2048)
        compressed = beginning[:2] == GZIP_MAGIC
        start = inflated_start(beginning, HEADER_BYTES) if compressed else beginning
        header = parse_header(start)
        if header is None:
            return True
        if not compressed:
            return stream.seek(0, os.SEEK_END) >= header.bytes_with_voxels
        stream.seek(-4, os.SEEK_END)
        if struct.unpack("<I", stream.read(4))[0] == header.bytes_with_voxels % 2**32:
            return True
        stream.seek(0)
        parts = inflated_parts(stream, header.bytes_with_voxels, path)
        return sum(len(part) for part in parts) >= header.bytes_with_voxels


def _gipl_is_complete(path: Path) -> bool:
    with path.open("rb") as stream:
        header = stream.read(GIPL_HEADER_BYTES)
        if len(header) < GIPL_HEADER_BYTES:
            return False
        *shape, voxel_type = struct.unpack_from(">5H", header)
        voxel_bytes = math.prod(max(count, 1) for count in shape) * GIPL_VOXEL_BYTES.get(voxel_type, 0)
        return stream.seek(0, os.SEEK_END) >= GIPL_HEADER_BYTES + voxel_bytes


def _bmp_is_complete(path: Path) -> bool:
    """For uncompressed pictures; the header of a compressed one tells no size."""
    with path.open("rb") as stream:
        header = stream.read(54)
        if len(header) < 54:
            return False
        offset = struct.unpack_from("<I", header, 10)[0]
        width, height = struct.unpack_from("<2i", header, 18)
        bits, compression = struct.unpack_from("<HI", header, 28)
        if compression != 0:
            return True
        bytes_per_row = (width * bits + 31) // 32 * 4
        return stream.seek(0, os.SEEK_END) >= offset + bytes_per_row * abs(height)
