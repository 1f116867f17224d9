"""Whether a NIfTI file holds all the voxels that its header promises.

ITK fills what is missing from a cut-off NIfTI file with zeros and says nothing.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path

from .image import FileError

GZIP_MAGIC = b"\x1f\x8b"
HEADER_BYTES = 544
"""Enough for NIfTI-1 (348) and NIfTI-2 (540)."""


def check_nifti_is_complete(path: Path) -> None:
    """Do nothing for a complete file, or one of another type.

    For `.nii.gz` the length in gzip's trailer is compared, which costs two small reads; only where it does
    not agree (a cut file, several gzip members) the stream is followed to its end.

    Raises:
        FileError: the file ends before its last voxel.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return
    with path.open("rb") as stream:
        beginning = stream.read(2048)
        compressed = beginning[:2] == GZIP_MAGIC
        header = zlib.decompressobj(wbits=31).decompress(beginning, HEADER_BYTES) if compressed else beginning
        expected = _expected_bytes(header)
        if expected is None:
            return
        if not compressed:
            complete = stream.seek(0, os.SEEK_END) >= expected
        else:
            stream.seek(-4, os.SEEK_END)
            complete = struct.unpack("<I", stream.read(4))[0] == expected % 2**32
    if not complete and not (compressed and _decompressed_bytes(path) >= expected):
        raise FileError(path, "is cut short: voxels are missing at its end", "copy or export the file again")


def _expected_bytes(header: bytes) -> int | None:
    """Bytes from the start of the file to the end of its last voxel; None for other types."""
    for order in "<>":
        size = struct.unpack_from(order + "i", header)[0] if len(header) >= 4 else 0
        if size == 348 and len(header) >= 348 and header[344:347] == b"n+1":
            dimensions = struct.unpack_from(order + "8h", header, 40)
            bits = struct.unpack_from(order + "h", header, 72)[0]
            offset = int(struct.unpack_from(order + "f", header, 108)[0])
        elif size == 540 and len(header) >= 540:
            bits = struct.unpack_from(order + "h", header, 14)[0]
            dimensions = struct.unpack_from(order + "8q", header, 16)
            offset = struct.unpack_from(order + "q", header, 168)[0]
        else:
            continue
        voxels = 1
        for count in dimensions[1 : 1 + dimensions[0]]:
            voxels *= max(count, 1)
        return offset + voxels * bits // 8
    return None


def _decompressed_bytes(path: Path) -> int:
    total = 0
    try:
        with gzip.open(path) as stream:
            while chunk := stream.read(1 << 20):
                total += len(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return 0
    return total
