"""What a NIfTI header promises: one check for all readers of it, NIfTI-1 and NIfTI-2, gzipped or not."""

from __future__ import annotations

import math
from pathlib import Path

from ..errors import FileError
from .header_promise import (
    CORRECT_HEADER,
    LARGEST_SCALING,
    MAX_RANK,
    HeaderPromise,
    by,
    require_place,
    require_promise,
    require_scalar,
    require_spacing,
    unknown_voxels,
)
from .nifti import NiftiHeader, parse_header

SMALLEST_OFFSET = {1: 348, 2: 540}
OTHER_VOXELS = {
    0: "of no type",
    1: "single bits",
    32: "complex numbers",
    128: "colours",
    1536: "numbers of 128 bits",
    1792: "complex numbers",
    2048: "complex numbers",
    2304: "colours",
}
LONGEST_QUATERNION = 1.01
SMALLEST_SCALING = 1e-15
"""ITK takes a smaller slope for none, nibabel does not."""


def require_nifti(start: bytes, file_bytes: int, gzipped: bool, path: Path) -> NiftiHeader:
    """The header at the (inflated) start of a file, once it is known to be sound and the file to be large enough.

    Raises:
        FileError: the first thing that is wrong with it.
    """
    header = parse_header(start)
    if header is None:
        raise FileError(
            path,
            "is not a NIfTI file with header and voxels in one",
            "export it again as .nii.gz, or give it the ending of the type that it has",
        )
    _require_voxel_type(header, path)
    _require_rank(header, path)
    _require_scaling(header, path)
    if header.data_offset < SMALLEST_OFFSET[header.version]:
        raise FileError(path, "its header does not say where the voxels begin", CORRECT_HEADER)
    _require_forms(header, path)
    require_promise(promise_of(header, file_bytes, gzipped), path)
    return header


def promise_of(header: NiftiHeader, file_bytes: int, gzipped: bool) -> HeaderPromise:
    """The header in the terms of all file types."""
    return HeaderPromise(
        shape=header.shape_xyz[:MAX_RANK],
        voxel_bytes=header.dtype.itemsize,
        file_bytes=file_bytes,
        stored="deflated" if gzipped else "plain",
        data_offset=header.data_offset,
        spacing=header.zooms_xyz,
    )


def _require_voxel_type(header: NiftiHeader, path: Path) -> None:
    if header.dtype.kind == "V":
        raise unknown_voxels(OTHER_VOXELS.get(header.datatype, f"of an unknown type ({header.datatype})"), path)
    if header.bits_per_voxel != 8 * header.dtype.itemsize:
        raise FileError(
            path,
            f"its header gives {header.bits_per_voxel} bits to a voxel, but its voxel type has "
            f"{8 * header.dtype.itemsize}",
            CORRECT_HEADER,
        )


def _require_rank(header: NiftiHeader, path: Path) -> None:
    if not 2 <= header.declared_rank <= 7:
        raise FileError(path, f"has {header.declared_rank} dimensions", "give 2-D, 3-D or 4-D images")
    beyond = header.shape_xyz[MAX_RANK:]
    if beyond and min(beyond) < 1:
        raise FileError(path, f"its grid is {by(header.shape_xyz[::-1])} voxels", CORRECT_HEADER)
    require_scalar(math.prod(beyond), path)


def _require_scaling(header: NiftiHeader, path: Path) -> None:
    tiny = 0 < abs(header.slope) < SMALLEST_SCALING
    if tiny or not (abs(header.slope) <= LARGEST_SCALING and abs(header.intercept) <= LARGEST_SCALING):
        raise FileError(
            path,
            f"scales its voxels by {header.slope:g} and adds {header.intercept:g}",
            "correct scl_slope and scl_inter in the header (1 and 0 where nothing is scaled)",
        )


def _require_forms(header: NiftiHeader, path: Path) -> None:
    axes = min(len(header.shape_xyz), 3)
    if not all(math.isfinite(value) for value in header.pixdim[: len(header.shape_xyz) + 1]):
        raise FileError(path, "has a pixdim that is not a number", CORRECT_HEADER)
    require_spacing(header.zooms_xyz[:3], path)
    if header.qform is not None:
        if not sum(value * value for value in header.qform[:3]) <= LONGEST_QUATERNION:
            raise FileError(path, "its qform is not a rotation", CORRECT_HEADER)
        require_place(header.qform[3:], (), path)
    if header.sform is not None:
        columns = tuple(header.sform[axis::4] for axis in range(axes))
        require_place(header.sform[3::4], columns, path)
        require_spacing([math.hypot(*column) for column in columns], path)
