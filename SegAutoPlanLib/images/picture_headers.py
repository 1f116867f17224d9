"""What the headers of PNG and BMP pictures and of GIPL volumes promise."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from ..errors import FileError
from .header_promise import COPY_AGAIN, CORRECT_HEADER, CUT_SHORT, HeaderPromise, unknown_voxels

PNG_COMPONENTS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By colour type; a palette becomes colours."""
PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
PNG_HEADER_BYTES = 33
BMP_BITS = (1, 4, 8, 16, 24, 32)
BMP_PLAIN = (0, 3)
BMP_HEADER_BYTES = 54
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_END, JPEG_TAIL_BYTES = b"\xff\xd9", 4096
GIPL_HEADER_BYTES = 256
GIPL_VOXEL_BYTES = {7: 1, 8: 1, 15: 2, 16: 2, 31: 4, 32: 4, 64: 4, 65: 8}


def png_promise(stream: BinaryIO, file_bytes: int, path: Path) -> HeaderPromise:
    """Read the IHDR chunk of a PNG.

    Raises:
        FileError: it is cut short, damaged, or of a kind that there is not.
    """
    header = stream.read(PNG_HEADER_BYTES)
    if len(header) < PNG_HEADER_BYTES:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    width, height, bits, colour = struct.unpack_from(">2I2B", header, 16)
    if header[12:16] != b"IHDR" or zlib.crc32(header[12:29]) != struct.unpack_from(">I", header, 29)[0]:
        raise FileError(path, "is damaged: its checksum does not fit its content", COPY_AGAIN)
    if bits not in PNG_BITS.get(colour, ()):
        raise unknown_voxels(f"of an unknown type (colour type {colour} with {bits} bits)", path)
    components = PNG_COMPONENTS[colour]
    stored_components = 1 if colour == 3 else components
    return HeaderPromise(
        shape=(width, height),
        voxel_bytes=components * (2 if bits == 16 else 1),
        stored_bits=bits * stored_components,
        file_bytes=file_bytes,
        stored="deflated",
        components=components,
    )


def bmp_promise(stream: BinaryIO, file_bytes: int, path: Path) -> HeaderPromise:
    """Read the header of a BMP.

    Raises:
        FileError: it is cut short, or of a kind that there is not.
    """
    header = stream.read(BMP_HEADER_BYTES)
    if len(header) < BMP_HEADER_BYTES:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    offset, header_bytes = struct.unpack_from("<2I", header, 10)
    width, height = struct.unpack_from("<2i", header, 18)
    bits, compression = struct.unpack_from("<HI", header, 28)
    if bits not in BMP_BITS:
        raise unknown_voxels(f"of an unknown type ({bits} bits)", path)
    if header_bytes < 40 or offset < 14 + header_bytes or offset > file_bytes:
        raise FileError(path, "its header does not say where the pixels begin", CORRECT_HEADER)
    if compression not in BMP_PLAIN:
        # ITK leaves pixels as the memory was where such a file is cut short.
        raise FileError(path, "is a compressed BMP", "save it as PNG, or without compression")
    # A negative height means that the first row is the upper one.
    return HeaderPromise(
        shape=(width, abs(height)),
        voxel_bytes=4,
        stored_bits=bits,
        file_bytes=file_bytes,
        stored="plain",
        data_offset=offset,
        components=3,
    )


def jpeg_promise(stream: BinaryIO, file_bytes: int, path: Path) -> HeaderPromise:
    """Find the frame header of a JPEG.

    Raises:
        FileError: it is cut short, or has none.
    """
    position = 2
    while True:
        stream.seek(position)
        marker = stream.read(10)
        if len(marker) < 10 or marker[0] != 0xFF or position > file_bytes:
            raise FileError(path, CUT_SHORT, COPY_AGAIN)
        if marker[1] in JPEG_FRAMES:
            break
        position += 2 + struct.unpack_from(">H", marker, 2)[0]
    height, width, components = struct.unpack_from(">2HB", marker, 5)
    stream.seek(max(file_bytes - JPEG_TAIL_BYTES, 0))
    # libjpeg paints what is missing grey.
    if JPEG_END not in stream.read():
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    return HeaderPromise(
        shape=(width, height),
        voxel_bytes=components,
        file_bytes=file_bytes,
        stored="otherwise",
        components=components,
    )


def gipl_promise(stream: BinaryIO, file_bytes: int, path: Path) -> HeaderPromise:
    """Read the header of a GIPL volume.

    Raises:
        FileError: it is cut short, or of a kind that there is not.
    """
    header = stream.read(GIPL_HEADER_BYTES)
    if len(header) < GIPL_HEADER_BYTES:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)
    *shape, voxel_type = struct.unpack_from(">5H", header)
    if voxel_type not in GIPL_VOXEL_BYTES:
        raise unknown_voxels(f"of an unknown type ({voxel_type})", path)
    while len(shape) > 2 and shape[-1] <= 1:
        shape.pop()
    axes = min(len(shape), 3)
    return HeaderPromise(
        shape=tuple(shape),
        voxel_bytes=GIPL_VOXEL_BYTES[voxel_type],
        file_bytes=file_bytes,
        stored="plain",
        data_offset=GIPL_HEADER_BYTES,
        spacing=struct.unpack_from(f">{axes}f", header, 10),
        origin=struct.unpack_from(f">{axes}d", header, 204),
    )
