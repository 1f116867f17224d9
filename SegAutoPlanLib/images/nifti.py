"""The NIfTI file format: header, voxels and affine, without ITK.

ITK inflates the beginning of a `.nii.gz` eight times before it reads it, fills what is missing from a cut-off
file with zeros, and refuses sheared affines; so small files, and those read by nibabel's rules, are read here.
Source: the NIfTI-1 and NIfTI-2 definitions, https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

GZIP_MAGIC = b"\x1f\x8b"
VOXEL_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI header says, in the axis order of the file (x fastest)."""

    shape_xyz: tuple[int, ...]
    zooms_xyz: tuple[float, ...]
    dtype: np.dtype
    """Of the voxels in the file, with its byte order."""
    bits_per_voxel: int
    data_offset: int
    """-1 where the header gives none."""
    slope: float
    intercept: float
    qform: tuple[float, ...] | None
    """Three numbers of the quaternion and three of the origin; None where its code is 0."""
    sform: tuple[float, ...] | None
    """Three rows of four; None where its code is 0."""
    datatype: int
    declared_rank: int
    pixdim: tuple[float, ...]
    """The handedness, and the spacing of seven axes, whatever the rank."""
    version: int
    geometry_bytes: bytes
    """Everything of the header that any reader derives spacing, origin and direction from."""

    @property
    def affine(self) -> np.ndarray:
        """(4, 4), voxel (i, j, k) to RAS mm: the sform where its code is set, else the qform (nibabel's rule)."""
        if self.sform is not None:
            return np.vstack([np.reshape(self.sform, (3, 4)), [0, 0, 0, 1]]).astype(float)
        if self.qform is not None:
            return _affine_of_quaternion(self.qform, self.pixdim)
        return _affine_without_form(self.shape_xyz, self.pixdim)

    @property
    def is_scaled(self) -> bool:
        """Whether voxel values are `slope * stored + intercept`."""
        return math.isfinite(self.slope) and self.slope != 0 and (self.slope, self.intercept) != (1, 0)

    @property
    def bytes_with_voxels(self) -> int:
        """From the start of the file to the end of its last voxel."""
        return self.data_offset + math.prod(self.shape_xyz) * self.bits_per_voxel // 8


def parse_header(content: bytes) -> NiftiHeader | None:
    """The header at the start of `content`; None where this is no single-file NIfTI."""
    for order in "<>":
        size = struct.unpack_from(order + "i", content)[0] if len(content) >= 4 else 0
        if size == 348 and len(content) >= 348 and content[344:347] == b"n+1":
            return _parse_nifti1(content, order)
        if size == 540 and len(content) >= 540 and content[4:7] == b"n+2":
            return _parse_nifti2(content, order)
    return None


def _parse_nifti1(content: bytes, order: str) -> NiftiHeader:
    def field(form: str, offset: int) -> tuple:
        return struct.unpack_from(order + form, content, offset)

    dimensions = field("8h", 40)
    codes, quaternion, rows = field("2h", 252), field("6f", 256), field("12f", 280)
    datatype, bits = field("2h", 70)
    pixdim = field("8f", 76)
    offset, slope, intercept = field("3f", 108)
    geometry = order.encode() + content[76:108] + content[123:124] + content[252:328]
    if codes == (0, 0):
        geometry += content[40:56]
    return _header(
        1, order, dimensions, datatype, bits, pixdim, (offset, slope, intercept), codes, quaternion, rows, geometry
    )


def _parse_nifti2(content: bytes, order: str) -> NiftiHeader:
    def field(form: str, offset: int) -> tuple:
        return struct.unpack_from(order + form, content, offset)

    datatype, bits = field("2h", 12)
    dimensions, pixdim = field("8q", 16), field("8d", 104)
    offset, (slope, intercept) = field("q", 168)[0], field("2d", 176)
    codes, quaternion, rows = field("2i", 344), field("6d", 352), field("12d", 400)
    return _header(
        2, order, dimensions, datatype, bits, pixdim, (offset, slope, intercept), codes, quaternion, rows, content[:540]
    )


def _header(
    version, order, dimensions, datatype, bits, pixdim, scaling, codes, quaternion, rows, geometry
) -> NiftiHeader:
    rank = min(max(dimensions[0], 0), 7)
    zooms = pixdim[1 : 1 + rank]
    offset, slope, intercept = scaling
    return NiftiHeader(
        shape_xyz=tuple(int(count) for count in dimensions[1 : 1 + rank]),
        zooms_xyz=tuple(float(zoom) for zoom in zooms),
        dtype=np.dtype(order + VOXEL_TYPES[datatype]) if datatype in VOXEL_TYPES else np.dtype("V"),
        bits_per_voxel=bits,
        data_offset=int(offset) if math.isfinite(offset) and offset == int(offset) else -1,
        slope=slope,
        intercept=intercept,
        qform=quaternion if codes[0] > 0 else None,
        sform=rows if codes[1] > 0 else None,
        datatype=datatype,
        declared_rank=dimensions[0],
        pixdim=pixdim,
        version=version,
        geometry_bytes=geometry,
    )


def _affine_of_quaternion(quaternion: tuple[float, ...], pixdim: tuple[float, ...]) -> np.ndarray:
    b, c, d, *offset = quaternion
    a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array([pixdim[1], pixdim[2], pixdim[3] * handedness])
    affine[:3, 3] = offset
    return affine


def _affine_without_form(shape_xyz: tuple[int, ...], pixdim: tuple[float, ...]) -> np.ndarray:
    """Centred, with x pointing left, as for the older Analyze format."""
    scale = np.array([-pixdim[1], pixdim[2], pixdim[3]])
    affine = np.diag([*scale, 1.0])
    affine[:3, 3] = -scale * (np.array((*shape_xyz, 1, 1)[:3]) - 1) / 2
    return affine


def voxels_of(header: NiftiHeader, content: bytes) -> np.ndarray:
    """The stored voxels (…, z, y, x), unscaled, as a read-only view of the file's (inflated) content."""
    count = math.prod(header.shape_xyz)
    return np.frombuffer(content, header.dtype, count, header.data_offset).reshape(header.shape_xyz[::-1])
