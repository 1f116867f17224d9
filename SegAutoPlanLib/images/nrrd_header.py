"""What an NRRD header promises. Source: the definition of the format, https://teem.sourceforge.net/nrrd/format.html."""

from __future__ import annotations

import math
import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

from ..errors import FileError
from .header_promise import CORRECT_HEADER, HeaderPromise, Stored, require_few_left_over, unknown_voxels
from .header_text import floats, whole_numbers

MAX_HEADER_BYTES = 1 << 24
"""Slicer writes a dozen lines for each segment."""
VOXEL_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "uint64", "uint64_t", "double"), 8),
    "float": 4,
}
STORED: dict[str, Stored] = {
    "raw": "plain",
    "gz": "deflated",
    "gzip": "deflated",
    **dict.fromkeys(("ascii", "text", "txt", "hex"), "loosely"),
}
"""bzip2, which the format has too, ITK does not read."""
PLACES = {"domain", "space", "time", "???", "none"}
"""Kinds of axes along which voxels lie; along the others lie the components of one voxel."""


def nrrd_promise(stream: BinaryIO, file_bytes: int, path: Path) -> HeaderPromise:
    """Read the header of an NRRD file with its voxels in it.

    Raises:
        FileError: the header cannot be understood, or its voxels are in another file.
    """
    fields, offset = _fields(stream, path)
    if "datafile" in fields:
        raise FileError(path, "its voxels are in another file", "save header and voxels as one .nrrd file")
    kind, encoding = fields.get("type", "").lower(), fields.get("encoding", "").lower()
    if kind not in VOXEL_BYTES:
        raise unknown_voxels(f'of an unknown type ("{kind[:40]}")', path)
    if encoding not in STORED:
        raise FileError(path, f'its encoding is unknown ("{encoding[:40]}")', "save it again as .nrrd")
    rank = whole_numbers(fields.get("dimension", ""), path, 1)[0]
    sizes = whole_numbers(fields.get("sizes", ""), path, rank)
    places = _places(fields, rank, path)
    components = math.prod(size for size, place in zip(sizes, places, strict=True) if not place)
    shape = tuple(size for size, place in zip(sizes, places, strict=True) if place)
    if components < 1:
        raise FileError(path, "has an axis without voxels", CORRECT_HEADER)
    skip = whole_numbers(fields.get("byteskip", "0"), path, 1)[0]
    if skip < -1:
        raise FileError(path, f'its "byte skip" is {skip}', CORRECT_HEADER)
    voxel_bytes = VOXEL_BYTES[kind] * components
    if STORED[encoding] == "deflated":
        _require_few_inflated(stream, math.prod(sizes) * VOXEL_BYTES[kind] + max(skip, 0), path)
    return HeaderPromise(
        shape=shape,
        voxel_bytes=voxel_bytes,
        stored_bits=_bits_of_text(encoding, components, voxel_bytes),
        file_bytes=file_bytes,
        # Lines to pass over have no known length, and -1 bytes mean that the voxels stand at the end.
        stored="loosely" if STORED[encoding] == "plain" and ("lineskip" in fields or skip < 0) else STORED[encoding],
        data_offset=offset + max(skip, 0),
        components=components,
        is_text=True,
        **_geometry(fields, places, path),
    )


def _bits_of_text(encoding: str, components: int, voxel_bytes: int) -> int | None:
    """How long a voxel is at least: two digits for each byte, or a digit for each number; None where it is no text."""
    if encoding == "hex":
        return 16 * voxel_bytes
    return 8 * components if STORED[encoding] == "loosely" else None


def _require_few_inflated(stream: BinaryIO, promised: int, path: Path) -> None:
    """gzip ends with how much it holds (of its last member, modulo 2^32)."""
    stream.seek(-4, os.SEEK_END)
    require_few_left_over(struct.unpack("<I", stream.read())[0], promised, path)


def _fields(stream: BinaryIO, path: Path) -> tuple[dict[str, str], int]:
    """Names without spaces in lower case, and where the voxels begin."""
    content = stream.read(4096)
    while (end := re.search(rb"\r?\n\r?\n", content)) is None:
        more = stream.read(1 << 20)
        if not more or len(content) > MAX_HEADER_BYTES:
            raise FileError(path, "its header has no end", CORRECT_HEADER)
        content += more
    fields: dict[str, str] = {}
    for line in content[: end.start()].decode("utf-8", "replace").split("\n")[1:]:
        name, colon, value = line.partition(":")
        if line.startswith("#") or not colon or value.startswith("="):
            continue
        name = name.strip().lower().replace(" ", "")
        if name in fields:
            raise FileError(path, f'its header has "{name[:40]}" twice', CORRECT_HEADER)
        fields[name] = value.strip()
    return fields, end.end()


def _places(fields: dict[str, str], rank: int, path: Path) -> list[bool]:
    """Whether each axis is one of the grid."""
    kinds = fields.get("kinds")
    if kinds is None:
        return [True] * rank
    words = kinds.lower().split()
    if len(words) != rank:
        raise FileError(path, f"has {rank} axes but {len(words)} kinds", CORRECT_HEADER)
    return [word in PLACES for word in words]


def _geometry(fields: dict[str, str], places: list[bool], path: Path) -> dict[str, tuple]:
    count = sum(places)
    if "spacedirections" in fields:
        text = fields["spacedirections"]
        vectors = [
            None if word == "none" else tuple(floats(word.strip("()"), path, separator=","))
            for word in re.findall(r"\([^)]*\)|none", text)
        ]
        if len(vectors) != len(places) or len({len(v) for v in vectors if v is not None}) > 1:
            raise FileError(path, "its space directions do not fit its axes", CORRECT_HEADER)
        directions = tuple(vector for vector in vectors if vector is not None)[:3]
        origin = floats(fields.get("spaceorigin", "").strip("()"), path, separator=",")
        same_space = all(len(vector) == len(directions) for vector in directions)
        return {
            "spacing": tuple(math.hypot(*vector) for vector in directions),
            "directions": directions if same_space else (),
            "origin": tuple(origin),
        }
    spacings = floats(fields["spacings"], path) if "spacings" in fields else [1.0] * len(places)
    if len(spacings) != len(places):
        raise FileError(path, "its spacings do not fit its axes", CORRECT_HEADER)
    # ITK takes NaN, the format's word for "unknown", for 1 mm, which is as good as no spacing.
    spacing = tuple(value for value, place in zip(spacings, places, strict=True) if place)[:count]
    return {"spacing": spacing}
