"""NIfTI as nnU-Net's nibabel readers see it: zooms and affine of the header, sheared grids included.

nibabel itself is not needed.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from ..errors import FileError
from ..files import atomic_path
from .geometry import nearest_axes
from .image import Image
from .nifti import NiftiHeader
from .nifti_file import read_nifti
from .source_header import NibabelGeometry, SourceHeader, matrix, read_otherwise

NIFTI_UINT8, NIFTI_UINT16 = 2, 512
XFORM_ALIGNED = 2
UNITS_MM = 2


def read_nibabel(path: Path) -> Image:
    """Read a 3-D NIfTI as (1, z, y, x); nothing is reoriented.

    Raises:
        FileError: the file is missing, damaged, or not 3-D.
    """
    header, array = _read_3d(path)
    return _image(array, header.zooms_xyz, NibabelGeometry(matrix(header.affine)))


def read_nibabel_reoriented(path: Path) -> Image:
    """Read a 3-D NIfTI as (1, z, y, x), with the axes turned to the nearest right, anterior, superior ones.

    Raises:
        FileError: the file is missing, damaged, or not 3-D.
    """
    header, array = _read_3d(path)
    axes, flips = nearest_axes(header.affine)
    turned = _turn(array.transpose(2, 1, 0), axes, flips)
    affine = _turned_affine(header.affine, header.shape_xyz, axes, flips)
    # nibabel takes the zooms of a turned image from its affine, in single precision.
    turning = (axes, flips) != ((0, 1, 2), (False, False, False))
    zooms = tuple(np.linalg.norm(affine[:3, :3], axis=0).astype(np.float32).tolist()) if turning else header.zooms_xyz
    return _image(turned.transpose(2, 1, 0), zooms, NibabelGeometry(matrix(header.affine), matrix(affine)))


def write_nibabel(array: np.ndarray, path: Path, header: SourceHeader) -> None:
    """Write a segmentation (z, y, x) with the affine it was read with."""
    write_nifti(array, _file_affine(header, path), path)


def write_nibabel_reoriented(array: np.ndarray, path: Path, header: SourceHeader) -> None:
    """Turn a segmentation (z, y, x) back to the file's own axes and write it."""
    affine = _file_affine(header, path)
    axes, flips = nearest_axes(affine)
    flipped = array.transpose(2, 1, 0)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    write_nifti(flipped.transpose(np.argsort(axes)).transpose(2, 1, 0), affine, path)


def write_nifti(array: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write labels (z, y, x), 8 or 16 bits, with an affine (RAS) as NIfTI-1, atomically.

    Raises:
        FileError: an axis is longer than NIfTI-1 can say.
    """
    if max(array.shape) > np.iinfo(np.int16).max:
        raise FileError(path, "an axis has more than 32767 voxels, which NIfTI-1 cannot hold", "write .nrrd instead")
    datatype = NIFTI_UINT8 if array.dtype == np.uint8 else NIFTI_UINT16
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, datatype, 8 * array.dtype.itemsize)
    struct.pack_into("<8f", header, 76, 1, *zooms, 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    struct.pack_into("<b", header, 123, UNITS_MM)
    struct.pack_into("<2h", header, 252, 0, XFORM_ALIGNED)
    struct.pack_into("<12f", header, 280, *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    content = bytes(header) + np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    with atomic_path(path) as temporary:
        packed = path.name.lower().endswith(".gz")
        temporary.write_bytes(gzip.compress(content, compresslevel=6, mtime=0) if packed else content)


def _read_3d(path: Path) -> tuple[NiftiHeader, np.ndarray]:
    header, array = read_nifti(path)
    if array.ndim != 3:
        raise FileError(
            path,
            f"has {array.ndim} dimensions, which the nibabel readers do not take",
            'use 3-D files, or remove "overwrite_image_reader_writer" from dataset.json',
        )
    if header.is_scaled:
        array = array * float(header.slope) + float(header.intercept)
    return header, array


def _image(array: np.ndarray, zooms_xyz: tuple[float, ...], geometry: NibabelGeometry) -> Image:
    x, y, z = zooms_xyz
    return Image(array[None], SourceHeader((z, y, x), nibabel=geometry))


def _file_affine(header: SourceHeader, path: Path) -> np.ndarray:
    if header.nibabel is None:
        raise FileError(path, *read_otherwise("a nibabel reader"))
    return np.array(header.nibabel.original_affine)


def _turn(array_xyz: np.ndarray, axes: tuple[int, ...], flips: tuple[bool, ...]) -> np.ndarray:
    return array_xyz.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def _turned_affine(
    affine: np.ndarray, shape_xyz: tuple[int, ...], axes: tuple[int, ...], flips: tuple[bool, ...]
) -> np.ndarray:
    turned = affine.copy()
    for world, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        column = affine[:3, axis]
        turned[:3, world] = -column if flip else column
        if flip:
            turned[:3, 3] += column * (shape_xyz[axis] - 1)
    return turned
