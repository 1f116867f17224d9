"""Ways to write an image file that is not what its header or its name says."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .place import Place

NIFTI1_FIELDS: dict[str, tuple[int, str]] = {
    "sizeof_hdr": (0, "i"),
    "dim": (40, "8h"),
    "intent_code": (68, "h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "xyzt_units": (123, "B"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern": (256, "3f"),
    "qoffset": (268, "3f"),
    "srow_x": (280, "4f"),
    "srow_y": (296, "4f"),
    "srow_z": (312, "4f"),
    "magic": (344, "4s"),
}
"""Where each field of a NIfTI-1 header stands, and how it is packed."""


@dataclass(frozen=True)
class InHeader:
    """Fields of a NIfTI-1 header become others; the voxels stay."""

    file: str
    fields: dict[str, Any] = field(default_factory=dict)
    keep_voxels: float = 1.0
    """Share of the voxels that stay."""

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        content = bytearray(gzip.decompress(path.read_bytes()))
        for name, value in self.fields.items():
            offset, form = NIFTI1_FIELDS[name]
            values = value if isinstance(value, list | tuple) else (value,)
            struct.pack_into("<" + form, content, offset, *values)
        end = 352 + int((len(content) - 352) * self.keep_voxels)
        path.write_bytes(gzip.compress(bytes(content[:end]), 1))


@dataclass(frozen=True)
class Voxels:
    """The file's voxels become those that a function makes of them, with the same geometry unless it is given."""

    file: str
    change: Callable[[np.ndarray], np.ndarray]
    geometry: dict[str, Any] = field(default_factory=dict)
    is_vector: bool = False

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        old = sitk.ReadImage(str(path))
        new = sitk.GetImageFromArray(self.change(sitk.GetArrayFromImage(old)), isVector=self.is_vector)
        if new.GetDimension() == old.GetDimension():
            new.CopyInformation(old) if new.GetSize() == old.GetSize() else new.SetSpacing(old.GetSpacing())
        for name, value in self.geometry.items():
            getattr(new, f"Set{name}")(value)
        path.unlink()
        sitk.WriteImage(new, str(path), path.suffix != ".bmp")


@dataclass(frozen=True)
class Renamed:
    """Every file of the raw dataset is written again with another ending, and dataset.json says so."""

    ending: str

    def __call__(self, place: Place) -> None:
        description = place.raw / "dataset.json"
        text = description.read_text(encoding="utf-8")
        description.write_text(text.replace('".nii.gz"', f'"{self.ending}"'), encoding="utf-8")
        for path in [*place.raw.glob("*Tr/*.nii.gz")]:
            image = sitk.ReadImage(str(path))
            sitk.WriteImage(image, str(path.with_name(path.name.removesuffix(".nii.gz") + self.ending)))
            path.unlink()


def gzip_bomb(path: Path, gigabytes: int = 4) -> None:
    """A sound header, and zeros that never end behind it: 4 MB become 4 GB."""
    header = gzip.decompress(path.read_bytes())[:352]
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    with open(path, "wb") as file:
        file.write(packer.compress(header))
        # One megabyte after the other gives the same bytes; the first is worth its time, the others are copies.
        for _ in range(gigabytes * 1024):
            file.write(packer.compress(block))
        file.write(packer.flush())


def gzip_members(path: Path) -> None:
    """The voxels are sound, and a hundred thousand empty members follow."""
    path.write_bytes(path.read_bytes() + gzip.compress(b"") * 100_000)


def gzip_trailing(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"trailing garbage" * 100)


def gzip_wrong_checksum(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(bytes(content))


def not_compressed(path: Path) -> None:
    path.write_bytes(gzip.decompress(path.read_bytes()))


def is_png(path: Path) -> None:
    other = path.with_name("picture.png")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((16, 16), np.uint8)), str(other))
    path.write_bytes(other.read_bytes())
    other.unlink()


def is_nrrd(path: Path) -> None:
    other = path.with_name("picture.nrrd")
    sitk.WriteImage(sitk.ReadImage(str(path)), str(other))
    path.write_bytes(other.read_bytes())
    other.unlink()


def is_html(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")


def nifti2(dim: Sequence[int], offset: int = 544, datatype: int = 4, bits: int = 16) -> Callable[[Path], None]:
    """A NIfTI-2 header with 64-bit sizes, and 8 kB of voxels."""

    def write(path: Path) -> None:
        header = bytearray(544)
        struct.pack_into("<i8shh", header, 0, 540, b"n+2\0\r\n\x1a\n", datatype, bits)
        struct.pack_into("<8q", header, 16, *dim)
        struct.pack_into("<8d", header, 104, 1, 1, 1, 1, 1, 1, 1, 1)
        struct.pack_into("<q", header, 168, offset)
        path.write_bytes(gzip.compress(bytes(header) + bytes(8192), 1))

    return write


def nrrd(lines: Sequence[str], data: bytes = b"") -> Callable[[Path], None]:
    """A NRRD file of these header lines."""
    return lambda path: path.write_bytes(("\n".join(["NRRD0004", *lines]) + "\n\n").encode() + data)


NRRD_CUBE = ("type: short", "dimension: 3", "space: left-posterior-superior", "sizes: 16 16 16",
             "space directions: (1,0,0) (0,1,0) (0,0,1)", "endian: little", "encoding: raw",
             "space origin: (0,0,0)")  # fmt: skip


def nrrd_cube(**changes: str) -> tuple[str, ...]:
    """The lines of a sound NRRD header with some of them other; underscores stand for spaces."""
    lines = {line.partition(": ")[0]: line.partition(": ")[2] for line in NRRD_CUBE}
    lines.update({name.replace("_", " "): value for name, value in changes.items()})
    return tuple(f"{name}: {value}" for name, value in lines.items())


def mha(data: bytes = bytes(8192), **changes: str) -> Callable[[Path], None]:
    """A MetaImage of 16³ shorts with some of its lines other."""
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": "1 1 1",
        "DimSize": "16 16 16",
        "ElementType": "MET_SHORT",
        **changes,
    }
    lines.setdefault("ElementDataFile", "LOCAL")
    lines["ElementDataFile"] = lines.pop("ElementDataFile")  # the last line
    text = "\n".join(f"{name} = {value}" for name, value in lines.items()) + "\n"
    return lambda path: path.write_bytes(text.encode() + data)


def tiff(pages: int, size: int = 16, *, chain: str = "sound", width: int | None = None) -> Callable[[Path], None]:
    """A TIFF of uncompressed 16-bit pages.

    `chain`: `sound`; `cut` (the last pages' voxels are missing); `circle` (the last page leads to the first); `nowhere`
    (beyond the file); `early` (it ends after the first page).
    """

    def write(path: Path) -> None:
        body, page_bytes, directory_bytes = bytearray(b"II*\0\0\0\0\0"), 2 * size * size, 2 + 10 * 12 + 4
        struct.pack_into("<I", body, 4, 8)
        for page in range(pages):
            start = len(body)
            data, following = start + directory_bytes, start + directory_bytes + page_bytes
            if page == pages - 1:
                following = {"circle": 8, "nowhere": 1 << 31}.get(chain, 0)
            elif chain == "early":
                following = 0
            tags = (
                (256, 4, 1, width or size),
                (257, 4, 1, size),
                (258, 3, 1, 16),
                (259, 3, 1, 1),
                (262, 3, 1, 1),
                (273, 4, 1, data),
                (277, 3, 1, 1),
                (278, 4, 1, size),
                (279, 4, 1, page_bytes),
                (339, 3, 1, 1),
            )
            body += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
            body += struct.pack("<I", following) + bytes(page_bytes)
        path.write_bytes(bytes(body[: len(body) - page_bytes * 3] if chain == "cut" else body))

    return write  # fmt: skip


def rotation(degrees: float) -> tuple[float, ...]:
    """A direction turned about z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (c, -s, 0, s, c, 0, 0, 0, 1)
