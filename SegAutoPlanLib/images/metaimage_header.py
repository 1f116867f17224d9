"""What a MetaImage header promises. Source: https://itk.org/Wiki/MetaIO/Documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import FileError
from .header_promise import COPY_AGAIN, CORRECT_HEADER, CUT_SHORT, HeaderPromise, Stored, unknown_voxels
from .header_text import floats, whole_numbers

MAX_HEADER_BYTES = 1 << 20
VOXEL_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
SPACING_NAMES = ("elementspacing", "elementsize")
ORIGIN_NAMES = ("offset", "position", "origin")
DIRECTION_NAMES = ("transformmatrix", "rotation", "orientation")


@dataclass(frozen=True)
class MetaImageHeader:
    """The fields of the text, names in lower case, and where the voxels begin."""

    fields: dict[str, str]
    data_offset: int

    @property
    def is_compressed(self) -> bool:
        """Whether the voxels are one zlib stream."""
        return self.fields.get("compresseddata", "").lower().startswith(("t", "1"))

    @property
    def is_binary(self) -> bool:
        """Whether the voxels are not text."""
        return self.fields.get("binarydata", "true").lower().startswith(("t", "1"))


def read_metaimage_header(stream: BinaryIO, path: Path) -> MetaImageHeader:
    """The text in front of the voxels, which must be in the same file.

    Raises:
        FileError: it has no end, says a thing twice, or names another file.
    """
    content = stream.read(MAX_HEADER_BYTES)
    fields: dict[str, str] = {}
    position = 0
    while (end := content.find(b"\n", position)) >= 0:
        # ITK takes a colon for an equals sign.
        name, *values = re.split("[=:]", content[position:end].decode("utf-8", "replace"), maxsplit=1)
        name, position = name.strip().lower(), end + 1
        if not values:
            continue
        value = values[0].strip()
        if name in fields:
            raise FileError(path, f'its header has "{name[:40]}" twice', CORRECT_HEADER)
        fields[name] = value
        if name == "elementdatafile":
            if value.lower() != "local":
                raise FileError(path, "its voxels are in another file", "save header and voxels as one .mha file")
            return MetaImageHeader(fields, position)
    raise FileError(path, "its header has no end", CORRECT_HEADER)


def metaimage_promise(stream: BinaryIO, file_bytes: int, path: Path) -> HeaderPromise:
    """Read the header of a MetaImage with its voxels in it.

    Raises:
        FileError: the header cannot be understood, or its voxels are in another file.
    """
    header = read_metaimage_header(stream, path)
    fields = header.fields
    kind = fields.get("elementtype", "").upper()
    if kind not in VOXEL_BYTES:
        raise unknown_voxels(f'of an unknown type ("{kind[:40]}")', path)
    rank = whole_numbers(fields.get("ndims", ""), path, 1)[0]
    components = whole_numbers(fields.get("elementnumberofchannels", "1"), path, 1)[0]
    if components < 1:
        raise FileError(path, f"has {components} components per voxel", CORRECT_HEADER)
    _require_all_data(header, file_bytes, path)
    packed: Stored = "deflated" if header.is_compressed else "plain"
    return HeaderPromise(
        shape=whole_numbers(fields.get("dimsize", ""), path, rank),
        voxel_bytes=VOXEL_BYTES[kind] * components,
        file_bytes=file_bytes,
        # As text, each number has a digit at least.
        stored=packed if header.is_binary else "loosely",
        stored_bits=None if header.is_binary else 8 * components,
        data_offset=header.data_offset,
        components=components,
        is_text=True,
        **_geometry(fields, rank, path),
    )


def _require_all_data(header: MetaImageHeader, file_bytes: int, path: Path) -> None:
    if whole_numbers(header.fields.get("headersize", "0"), path, 1)[0] != 0:
        raise FileError(path, "gives its header a size, which only files with detached voxels do", CORRECT_HEADER)
    size = header.fields.get("compresseddatasize")
    # ITK makes room for as much as this says.
    if size and header.is_compressed and header.data_offset + whole_numbers(size, path, 1)[0] > file_bytes:
        raise FileError(path, CUT_SHORT, COPY_AGAIN)


def _geometry(fields: dict[str, str], rank: int, path: Path) -> dict[str, tuple]:
    def first(names: tuple[str, ...], count: int) -> list[list[float]]:
        found = [floats(fields[name], path) for name in names if name in fields]
        if any(len(values) != count for values in found):
            raise FileError(path, f"has {rank} axes, but {names[0]} has other ones", CORRECT_HEADER)
        return found

    spacing = first(SPACING_NAMES, rank)
    origin = first(ORIGIN_NAMES, rank)
    matrix = first(DIRECTION_NAMES, rank * rank)
    axes = min(rank, 3)
    return {
        "spacing": tuple(spacing[0]) if spacing else (1.0,) * rank,
        "origin": tuple(value for values in origin for value in values),
        "directions": tuple(tuple(matrix[0][axis * rank : axis * rank + axes]) for axis in range(axes))
        if matrix
        else (),
    }
