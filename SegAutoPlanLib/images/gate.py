"""The gate that every image file passes before a voxel of it is allocated or inflated, whichever library reads it."""

from __future__ import annotations

import re
from pathlib import Path

import SimpleITK as sitk

from .file_start import BMP, GIPL, METAIMAGE, NIFTI, NRRD, PNG, FileStart, read_start
from .header_promise import HeaderPromise, require_promise, require_scalar, unknown_voxels
from .nifti_check import require_nifti

COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)
DEFLATED_AT_MOST = frozenset({NRRD, METAIMAGE, PNG, BMP, GIPL})
"""Types whose voxels lie in the file plainly or as a deflate stream, so that its size limits their number."""
BITS = re.compile(r"(\d+)-bit")


def require_sound_start(path: Path) -> FileStart:
    """What the beginning of a file tells: that it is a file, of the type of its ending, and for NIfTI a sound header.

    Raises:
        FileError: the first thing that is wrong; nothing but the beginning has been read.
    """
    start = read_start(path)
    if start.type == NIFTI:
        require_nifti(start.content, start.file_bytes, start.gzipped, path)
    return start


def require_sound_header(reader: sitk.ImageFileReader, start: FileStart, path: Path, several_components: bool) -> None:
    """Refuse what ITK, which has read the header only, would read as nonsense or could not hold in memory.

    Raises:
        FileError: the first thing that is wrong with it.
    """
    if reader.GetPixelID() in COMPLEX:
        raise unknown_voxels("complex numbers", path)
    components = reader.GetNumberOfComponents()
    if not several_components:
        require_scalar(components, path)
    rank = reader.GetDimension()
    axes = min(rank, 3)
    direction = reader.GetDirection()
    columns = tuple(tuple(direction[row * rank + axis] for row in range(axes)) for axis in range(axes))
    require_promise(
        HeaderPromise(
            shape=tuple(reader.GetSize()),
            voxel_bytes=components * _bytes_of_number(reader),
            file_bytes=start.file_bytes,
            stored="deflated" if start.type in DEFLATED_AT_MOST else "otherwise",
            components=components,
            spacing=tuple(reader.GetSpacing()),
            origin=tuple(reader.GetOrigin()[:axes]),
            directions=columns,
        ),
        path,
    )


def _bytes_of_number(reader: sitk.ImageFileReader) -> int:
    match = BITS.search(sitk.GetPixelIDValueAsString(reader.GetPixelID()))
    return int(match[1]) // 8 if match else 8
