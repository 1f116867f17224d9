"""Image files byte by byte, with whatever nonsense a test wants in them."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NIFTI_1 = {
    "dim": ("8h", 40),
    "datatype": ("h", 70),
    "bitpix": ("h", 72),
    "pixdim": ("8f", 76),
    "vox_offset": ("f", 108),
    "scl": ("2f", 112),
    "codes": ("2h", 252),
    "quaternion": ("6f", 256),
    "srow": ("12f", 280),
}
NIFTI_2 = {
    "datatype": ("h", 12),
    "bitpix": ("h", 14),
    "dim": ("8q", 16),
    "pixdim": ("8d", 104),
    "vox_offset": ("q", 168),
    "scl": ("2d", 176),
    "codes": ("2i", 344),
    "quaternion": ("6d", 352),
    "srow": ("12d", 400),
}
SHAPE = (5, 4, 3)
"""(x, y, z)"""
VOXELS = np.arange(60, dtype="<i2").reshape(SHAPE[::-1])
SOUND: dict[str, Any] = {
    "dim": (3, *SHAPE, 1, 1, 1, 1),
    "datatype": 4,
    "bitpix": 16,
    "pixdim": (1, 0.5, 0.75, 2, 0, 0, 0, 0),
    "scl": (1, 0),
    "codes": (0, 1),
    "quaternion": (0, 0, 0, 1, 2, 3),
    "srow": (0.5, 0, 0, 1, 0, 0.75, 0, 2, 0, 0, 2, 3),
}


def nifti(version: int = 1, voxels: bytes | None = None, **changes: Any) -> bytes:
    """A plain NIfTI file; a change sets all values of a field."""
    fields, size, magic_at, magic = (
        (NIFTI_1, 348, 344, b"n+1\0") if version == 1 else (NIFTI_2, 540, 4, b"n+2\0\r\n\x1a\n")
    )
    header = bytearray(size + 4)
    struct.pack_into("<i", header, 0, size)
    header[magic_at : magic_at + len(magic)] = magic
    for name, value in {**SOUND, "vox_offset": size + 4, **changes}.items():
        form, offset = fields[name]
        struct.pack_into("<" + form, header, offset, *(value if isinstance(value, Sequence) else (value,)))
    return bytes(header) + (VOXELS.tobytes() if voxels is None else voxels)


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


def nrrd(data: bytes | None = None, **changes: str | None) -> bytes:
    """An NRRD file; a change sets a field (underscores stand for spaces), None removes it."""
    fields: dict[str, str | None] = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "5 4 3",
        "space_directions": "(0.5,0,0) (0,0.75,0) (0,0,2)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space_origin": "(1,2,3)",
        **changes,
    }
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in fields.items() if value is not None]
    return "\n".join(["NRRD0004", *lines, "", ""]).encode() + (VOXELS.tobytes() if data is None else data)


def metaimage(data: bytes | None = None, **changes: str | None) -> bytes:
    """A MetaImage; a change sets a field, None removes it."""
    fields: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "1 2 3",
        "ElementSpacing": "0.5 0.75 2",
        "DimSize": "5 4 3",
        "ElementType": "MET_SHORT",
        **changes,
    }
    last = fields.pop("ElementDataFile", "LOCAL")
    lines = [f"{name} = {value}" for name, value in fields.items() if value is not None]
    return "\n".join([*lines, f"ElementDataFile = {last}", ""]).encode() + (VOXELS.tobytes() if data is None else data)


def gipl(
    shape: Sequence[int] = SHAPE,
    kind: int = 15,
    spacing: Sequence[float] = (0.5, 0.75, 2),
    origin: Sequence[float] = (1, 2, 3),
) -> bytes:
    header = bytearray(256)
    struct.pack_into(">5H", header, 0, *shape, *(1,) * (4 - len(shape)), kind)
    struct.pack_into(">4f", header, 10, *spacing, 1)
    struct.pack_into(">4d", header, 204, *origin, 0)
    struct.pack_into(">I", header, 252, 4026526128)
    return bytes(header) + VOXELS.astype(">i2").tobytes()


def png(width: int = 5, height: int = 4, bits: int = 8, colour: int = 0, rows: bytes | None = None) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", width, height, bits, colour, 0, 0, 0)
    pixels = zlib.compress(bytes(6) * 4 if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bmp(width: int = 5, height: int = 4, bits: int = 24, offset: int = 54, header_bytes: int = 40) -> bytes:
    start = struct.pack("<2sI4xII2iHH24x", b"BM", 118, offset, header_bytes, width, height, 1, bits)
    return start + bytes(64)


def tiff(
    pages: int = 3,
    big: bool = False,
    order: str = "<",
    next_page: Mapping[int, int] | None = None,
    changes: Mapping[int, Mapping[int, int]] | None = None,
) -> bytes:
    """An uncompressed stack of 16-bit pages of 5 x 4 pixels; all pixels come before all pages.

    Args:
        next_page: by number of a page, the offset that it gives for the next one.
        changes: by number of a page, other values of its tags; None removes a tag.
    """
    form, count_form, entry, kind = ("Q", "Q", 20, 16) if big else ("I", "H", 12, 4)
    start = 16 if big else 8
    pixels = b"".join(np.full((4, 5), number + 1, order + "u2").tobytes() for number in range(pages))
    content = bytearray(start) + pixels
    struct.pack_into(
        order + ("2sHHH" if big else "2sH"),
        content,
        0,
        b"II" if order == "<" else b"MM",
        *((43, 8, 0) if big else (42,)),
    )
    at, where = (8 if big else 4), len(content)
    struct.pack_into(order + form, content, at, where)
    for number in range(pages):
        tags: dict[int, int | None] = {
            256: 5, 257: 4, 258: 16, 259: 1, 262: 1, 273: start + 40 * number, 277: 1, 278: 4, 279: 40,
            **(changes or {}).get(number, {}),
        }  # fmt: skip
        kept = {tag: value for tag, value in sorted(tags.items()) if value is not None}
        content += struct.pack(order + count_form, len(kept))
        for tag, value in kept.items():
            content += struct.pack(order + "HH" + form + form, tag, kind, 1, value)
        following = len(content) + struct.calcsize(form) if number + 1 < pages else 0
        content += struct.pack(order + form, (next_page or {}).get(number, following))
    assert entry == struct.calcsize("=HH" + 2 * form)
    return bytes(content)
