"""Reading and writing through SimpleITK: NIfTI, NRRD, MetaImage and GIPL in their exact geometry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import FileError
from ..files import atomic_path
from .image import Image
from .itk_warnings import no_itk_warnings
from .nifti import parse_header, read_content, voxels
from .truncation import check_is_complete, is_complete

SPACING_FACTOR_2D = 999
"""nnU-Net gives the missing axis of a 2-D image this many times the larger in-plane spacing."""
SMALL_NIFTI_BYTES = 600_000
"""Up to this file size `.nii.gz` is read faster without ITK (50 kB: 3.7 -> 0.6 ms), above it ITK inflates faster."""
ORIENTATION = "RAS"
DAMAGED = "it is damaged or of another type than its ending says"
ITK_PREFIX = re.compile(r"^(sitk::ERROR: |ITK ERROR: )?(\w+ ?\(0x[0-9a-f]+\): )?")

Geometry = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""Spacing, origin and direction in SimpleITK's order."""


def read_simpleitk(path: Path) -> Image:
    """Read a file in the voxel type that it has.

    A 2-D image becomes (1, 1, y, x), a 3-D one (1, z, y, x); the fourth axis of a 4-D file and the
    components of a vector image become channels. Nothing is reoriented.

    Raises:
        FileError: the file is missing, cut short or not an image.
    """
    return _read_small_nifti(path) or image_from_sitk(read_sitk_image(path), path)


def read_simpleitk_reoriented(path: Path) -> Image:
    """As `read_simpleitk`, with the axes turned to right, anterior, superior.

    Raises:
        FileError: as there, and where the image is not 3-D.
    """
    image = read_sitk_image(path)
    if image.GetDimension() != 3:
        raise FileError(
            path,
            f"has {image.GetDimension()} dimensions, and only 3-D images can be reoriented",
            'use "SimpleITKIO" as "overwrite_image_reader_writer" in dataset.json',
        )
    original = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    turned = image_from_sitk(sitk.DICOMOrient(image, ORIENTATION), path)
    turned.properties["sitk_stuff"]["original_orientation"] = original
    return turned


def can_open(path: Path) -> None:
    """Read the header only.

    Raises:
        FileError: ITK does not take the file.
    """
    _geometry_of_file(path)


def read_sitk_image(path: Path) -> sitk.Image:
    """`sitk.ReadImage`, with a sentence where it fails and where it would fill a cut-off file with zeros."""
    if not path.is_file():
        raise FileError(path, "the file is missing", "add it, or remove the case from the dataset")
    check_is_complete(path)
    try:
        with no_itk_warnings():
            return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise _unreadable(path, error) from error


def image_from_sitk(image: sitk.Image, path: Path) -> Image:
    """The array (c, z, y, x), the spacing (z, y, x) and nnU-Net's properties of a SimpleITK image."""
    array = sitk.GetArrayFromImage(image)
    components = image.GetNumberOfComponentsPerPixel()
    dimension = image.GetDimension()
    if components > 1:
        array = np.moveaxis(array, -1, 0)
    if dimension == 2:
        array = array[:, None] if components > 1 else array[None, None]
    elif dimension == 3:
        array = array if components > 1 else array[None]
    elif dimension != 4 or components > 1:
        raise FileError(path, f"has {dimension} dimensions", "give 2-D, 3-D or 4-D images")
    return _image(array, (image.GetSpacing(), image.GetOrigin(), image.GetDirection()))


def write_simpleitk(array: np.ndarray, path: Path, properties: dict[str, Any]) -> None:
    """Write a segmentation (z, y, x) on the grid that `properties` describe, compressed and atomically."""
    _write(sitk_segmentation(array, properties), path)


def write_simpleitk_reoriented(array: np.ndarray, path: Path, properties: dict[str, Any]) -> None:
    """Turn a segmentation (z, y, x) back to the orientation of the file it belongs to, and write it."""
    original = properties["sitk_stuff"]["original_orientation"]
    _write(sitk.DICOMOrient(sitk_segmentation(array, properties), original), path)


def sitk_segmentation(array: np.ndarray, properties: dict[str, Any]) -> sitk.Image:
    """The segmentation (z, y, x) as a SimpleITK image with the geometry of `sitk_stuff`.

    The channel axis of a 4-D input is dropped: a segmentation has three.
    """
    geometry = properties["sitk_stuff"]
    rank = len(geometry["spacing"])
    image = sitk.GetImageFromArray(array[0] if rank == 2 else array)
    dimension = image.GetDimension()
    direction = np.reshape(geometry["direction"], (rank, rank))[:dimension, :dimension]
    image.SetSpacing([float(value) for value in geometry["spacing"][:dimension]])
    image.SetOrigin([float(value) for value in geometry["origin"][:dimension]])
    image.SetDirection([float(value) for value in direction.ravel()])
    return image


def write_sitk_image(image: sitk.Image, temporary: Path, target: Path) -> None:
    """Write to `temporary`, naming `target` in the sentence when the file type or the disk refuses."""
    try:
        with no_itk_warnings():
            sitk.WriteImage(image, str(temporary), useCompression=True)
    except RuntimeError as error:
        raise FileError(
            target,
            f"cannot be written ({_reason(error)})",
            "check the file ending, the permissions and the free disk space",
        ) from error
    # ITK says nothing when the disk fills up under a NIfTI, GIPL or BMP file.
    if not is_complete(temporary):
        raise FileError(target, "could be written only in part", "free some disk space and write it again")


def _write(image: sitk.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        write_sitk_image(image, temporary, path)


def _image(array: np.ndarray, geometry: Geometry) -> Image:
    spacing, origin, direction = geometry
    absolute = [abs(value) for value in spacing]
    if len(spacing) == 2:
        zyx = (max(absolute) * SPACING_FACTOR_2D, absolute[1], absolute[0])
    else:
        zyx = (absolute[2], absolute[1], absolute[0])
    stuff = {"spacing": list(spacing), "origin": list(origin), "direction": list(direction)}
    return Image(array, zyx, {"sitk_stuff": stuff, "spacing": list(zyx)})


_known_geometries: dict[bytes, Geometry] = {}
MAX_KNOWN_GEOMETRIES = 1000


def _read_small_nifti(path: Path) -> Image | None:
    """What ITK would read from a small, plain 3-D `.nii.gz`, several times faster; None for any other file.

    ITK itself says what the header's geometry means, once for each set of bytes that describe it. Without this
    function the fingerprint of 200 hippocampi takes 1.65 times as long; asking ITK for each file, 1.35 times.
    """
    if not path.name.lower().endswith(".nii.gz") or not path.is_file() or path.stat().st_size > SMALL_NIFTI_BYTES:
        return None
    content = read_content(path)
    header = parse_header(content)
    if header is None or header.is_scaled or header.dtype.kind == "V":
        return None
    if len(header.shape_xyz) != 3 or min(header.shape_xyz) < 2:
        return None
    array = voxels(header, content, path)[None]
    geometry = _known_geometries.get(header.geometry_bytes)
    if geometry is None:
        geometry = _geometry_of_file(path)
        if len(_known_geometries) < MAX_KNOWN_GEOMETRIES:
            _known_geometries[header.geometry_bytes] = geometry
    return _image(array.astype(header.dtype.newbyteorder("="), copy=False), geometry)


def _geometry_of_file(path: Path) -> Geometry:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with no_itk_warnings():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection()


def _unreadable(path: Path, error: RuntimeError) -> FileError:
    if "orthonormal" in str(error):
        return FileError(
            path,
            "its grid is sheared, which SimpleITK does not read",
            'set "overwrite_image_reader_writer": "NibabelIO" in dataset.json, or resample it',
        )
    if "Unable to determine ImageIO reader" in str(error):
        return FileError(path, "is not an image of a known type", f"{DAMAGED}: copy or export it again")
    return FileError(
        path,
        f"cannot be read as an image ({_reason(error)})",
        f"{DAMAGED}: copy or export it again",
    )


def _reason(error: RuntimeError) -> str:
    """The last informative line of SimpleITK's long message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ITK_PREFIX.sub("", lines[-1]).rstrip(".") if lines else "no reason given"
