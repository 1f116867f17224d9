"""Compressed files whose checksum tells of damage: ITK reads NIfTI and MetaImage without comparing it."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from ..errors import FileError
from .header_promise import COPY_AGAIN

CHUNK_BYTES = 1 << 20
METAIMAGE_HEADER_BYTES = 1 << 16
METAIMAGE_DATA = b"ElementDataFile = LOCAL"


def require_undamaged(path: Path) -> None:
    """Follow a `.nii.gz` or compressed `.mha` to its checksum; other types are left to their readers.

    Raises:
        FileError: the content does not fit the checksum, so that voxels would silently be wrong.
    """
    name = path.name.lower()
    try:
        if name.endswith(".nii.gz"):
            _follow_gzip(path)
        elif name.endswith(".mha"):
            _follow_metaimage(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(path, "is damaged: its checksum does not fit its content", COPY_AGAIN) from error


def _follow_gzip(path: Path) -> None:
    with path.open("rb") as raw:
        if raw.read(2) != b"\x1f\x8b":
            return
    with gzip.open(path) as stream:
        while stream.read(CHUNK_BYTES):
            pass


def _follow_metaimage(path: Path) -> None:
    with path.open("rb") as stream:
        header = stream.read(METAIMAGE_HEADER_BYTES)
        end = header.find(METAIMAGE_DATA)
        if end < 0 or b"CompressedData = True" not in header[:end]:
            return
        stream.seek(header.index(b"\n", end) + 1)
        inflater = zlib.decompressobj()
        while chunk := stream.read(CHUNK_BYTES):
            inflater.decompress(chunk)
        if not inflater.eof:
            raise EOFError
