"""Compressed files whose checksum tells of damage: ITK reads NIfTI and MetaImage without comparing it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK as sitk

from ..errors import FileError
from .header_promise import COPY_AGAIN, CUT_SHORT, most_bytes
from .inflating import CHUNK_BYTES, GZIP_MAGIC, inflated_parts, inflated_start
from .metaimage_header import read_metaimage_header
from .nifti import NiftiHeader, parse_header
from .opening import opened

BEGINNING_BYTES = 1 << 16
GZIP_TRAILER, ZLIB_TRAILER = struct.Struct("<2I"), struct.Struct(">I")


def require_checksum(image: sitk.Image, path: Path) -> None:
    """Compare what was read of a `.nii.gz` or compressed `.mha` with the checksum in the file.

    Where ITK has not changed the voxels, their own checksum tells at once; else the file is inflated once more. Other
    types are left to their readers.

    Raises:
        FileError: the content does not fit the checksum, so that voxels would silently be wrong.
    """
    name = path.name.lower()
    if name.endswith(".nii.gz"):
        with opened(path) as (stream, file_bytes):
            beginning = stream.read(BEGINNING_BYTES)
            if beginning[:2] != GZIP_MAGIC:
                return
            header = parse_header(inflated_start(beginning, BEGINNING_BYTES))
            promised = 0 if header is None else header.bytes_with_voxels
            stream.seek(file_bytes - GZIP_TRAILER.size)
            expected = GZIP_TRAILER.unpack(stream.read())
            if header is not None and expected[1] == promised % 2**32:
                before = inflated_start(beginning, header.data_offset)
                if _crc_of_file(image, header, before) == expected[0]:
                    return
            stream.seek(0)
            found = sum(len(part) for part in inflated_parts(stream, promised, path))
            if found < promised:
                raise FileError(path, CUT_SHORT, COPY_AGAIN)
    elif name.endswith(".mha"):
        _require_metaimage_checksum(image, path)


def _crc_of_file(image: sitk.Image, header: NiftiHeader, before: bytes) -> int | None:
    """The checksum that the voxels have as they stand in the file; None where that cannot be told from the image."""
    voxels, crc = sitk.GetArrayViewFromImage(image), zlib.crc32(before)
    if not header.is_scaled and header.dtype.isnative:
        return zlib.crc32(voxels, crc)
    if header.is_scaled and (header.dtype.kind == "f" or header.dtype.itemsize > 2):
        return None
    for slab in voxels:
        stored = slab if not header.is_scaled else np.rint((slab - header.intercept) / header.slope)
        with np.errstate(invalid="ignore"):
            crc = zlib.crc32(np.ascontiguousarray(stored.astype(header.dtype)), crc)
    return crc


def _require_metaimage_checksum(image: sitk.Image, path: Path) -> None:
    view = sitk.GetArrayViewFromImage(image)
    with opened(path) as (stream, file_bytes):
        header = read_metaimage_header(stream, path)
        if not (header.is_compressed and header.is_binary):
            return
        stream.seek(file_bytes - ZLIB_TRAILER.size)
        if ZLIB_TRAILER.unpack(stream.read())[0] == zlib.adler32(view):
            return
        stream.seek(header.data_offset)
        found = crc = 0
        try:
            for part in _parts(stream):
                found, crc = found + len(part), zlib.crc32(part, crc)
                if found > most_bytes(view.nbytes):
                    break
        except (zlib.error, EOFError) as error:
            raise FileError(path, "is damaged: its checksum does not fit its content", COPY_AGAIN) from error
        # ITK has turned the bytes of a file of the other order.
        if found < view.nbytes or crc not in (zlib.crc32(view), zlib.crc32(view.byteswap())):
            raise FileError(path, "is damaged: its content does not fit its header", COPY_AGAIN)


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    inflater, rest = zlib.decompressobj(), b""
    while not inflater.eof:
        chunk = rest or stream.read(CHUNK_BYTES)
        if not chunk:
            raise EOFError
        yield inflater.decompress(chunk, CHUNK_BYTES)
        rest = inflater.unconsumed_tail
