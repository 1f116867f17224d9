"""Reading and writing through SimpleITK: NIfTI, NRRD, MetaImage and GIPL in their exact geometry."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import FileError
from ..files import atomic_path
from .checksums import require_checksum
from .gate import require_sound_file
from .header_promise import CORRECT_HEADER, HeaderPromise
from .image import Image
from .itk_warnings import no_itk_warnings
from .nifti_file import parse_nifti
from .opening import read_whole
from .source_header import SitkGeometry, SourceHeader, read_otherwise
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
    return _read_plain_nifti(path) or image_from_sitk(read_sitk_image(path), path)


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
    return image_from_sitk(sitk.DICOMOrient(image, ORIENTATION), path, original)


def can_open(path: Path) -> None:
    """Read the header only.

    Raises:
        FileError: ITK does not take the file.
    """
    require_sound_file(path)
    _geometry_of_file(path)


def read_sitk_image(path: Path, may_have_components: bool = False) -> sitk.Image:
    """`sitk.ReadImage` of a file that has passed the gate.

    Args:
        may_have_components: see `require_sound_file`.

    Raises:
        UserInputError: the file is missing, damaged, cut short or not what it says.
    """
    promise = require_sound_file(path, may_have_components)
    if promise.is_text:
        _require_same_reading(promise, path)
    return read_gated_image(path)


def read_gated_image(path: Path) -> sitk.Image:
    """The same for a file whose header has been looked at already.

    Raises:
        FileError: it is cut short or damaged.
    """
    check_is_complete(path)
    try:
        with no_itk_warnings():
            image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    require_checksum(image, path)
    return image


def image_from_sitk(image: sitk.Image, path: Path, original_orientation: str | None = None) -> Image:
    """The array (c, z, y, x) and the header of a SimpleITK image.

    Raises:
        FileError: it has other dimensions than an image can have; `path` is named.
    """
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
    return Image(array, header_from_sitk(image, original_orientation))


def header_from_sitk(image: sitk.Image, original_orientation: str | None = None) -> SourceHeader:
    """Where the voxels of a SimpleITK image lie; `original_orientation` is that of a file whose axes were turned."""
    return _header(SitkGeometry(image.GetSpacing(), image.GetOrigin(), image.GetDirection(), original_orientation))


def write_simpleitk(array: np.ndarray, path: Path, header: SourceHeader) -> None:
    """Write a segmentation (z, y, x) on the grid that `header` describes, compressed and atomically."""
    _write(sitk_segmentation(array, _sitk_grid(header, path)), path)


def write_simpleitk_reoriented(array: np.ndarray, path: Path, header: SourceHeader) -> None:
    """Turn a segmentation (z, y, x) back to the orientation of the file it belongs to, and write it."""
    grid = _sitk_grid(header, path)
    if grid.original_orientation is None:
        raise FileError(path, *read_otherwise("a reader that reorients"))
    _write(sitk.DICOMOrient(sitk_segmentation(array, grid), grid.original_orientation), path)


def sitk_segmentation(array: np.ndarray, grid: SitkGeometry) -> sitk.Image:
    """The segmentation (z, y, x) as a SimpleITK image on the grid.

    The channel axis of a 4-D input is dropped: a segmentation has three.
    """
    rank = len(grid.spacing)
    image = sitk.GetImageFromArray(array[0] if rank == 2 else array)
    dimension = image.GetDimension()
    direction = np.reshape(grid.direction, (rank, rank))[:dimension, :dimension]
    image.SetSpacing([float(value) for value in grid.spacing[:dimension]])
    image.SetOrigin([float(value) for value in grid.origin[:dimension]])
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
    return Image(array, _header(SitkGeometry(*geometry)))


def _header(grid: SitkGeometry) -> SourceHeader:
    absolute = [abs(value) for value in grid.spacing]
    z = max(absolute) * SPACING_FACTOR_2D if len(absolute) == 2 else absolute[2]
    return SourceHeader((z, absolute[1], absolute[0]), sitk=grid)


def _sitk_grid(header: SourceHeader, path: Path) -> SitkGeometry:
    if header.sitk is None:
        raise FileError(path, *read_otherwise("a SimpleITK reader"))
    return header.sitk


_known_geometries: dict[bytes, Geometry] = {}
MAX_KNOWN_GEOMETRIES = 1000


def _read_plain_nifti(path: Path) -> Image | None:
    """What ITK would read from a plain 3-D NIfTI file, several times faster; None for any other file.

    Of `.nii.gz` only small ones. ITK itself says what the header's geometry means, once for each set of bytes that
    describe it. Without this function the fingerprint of 200 hippocampi takes 1.65 times as long (asking ITK for each
    file, 1.35 times), and an uncompressed CT five times the processor's time.
    """
    name = path.name.lower()
    if not name.endswith((".nii.gz", ".nii")):
        return None
    content = read_whole(path, SMALL_NIFTI_BYTES + 1 if name.endswith(".gz") else None)
    if name.endswith(".gz") and len(content) > SMALL_NIFTI_BYTES:
        return None
    header, array = parse_nifti(content, path)
    if header.is_scaled or len(header.shape_xyz) != 3 or min(header.shape_xyz) < 2:
        return None
    geometry = _known_geometries.get(header.geometry_bytes)
    if geometry is None:
        geometry = _geometry_of_file(path)
        if len(_known_geometries) < MAX_KNOWN_GEOMETRIES:
            _known_geometries[header.geometry_bytes] = geometry
    return _image(array[None].astype(header.dtype.newbyteorder("="), copy=False), geometry)


def _require_same_reading(promise: HeaderPromise, path: Path) -> None:
    """Text headers can be read in several ways; ITK's must be the one that was checked."""
    reader = _header_reader(path)
    values = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    if (values, reader.GetNumberOfComponents()) != (promise.values, promise.components):
        raise FileError(path, "has a header that can be read in several ways", CORRECT_HEADER)


def _geometry_of_file(path: Path) -> Geometry:
    reader = _header_reader(path)
    return reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection()


def _header_reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with no_itk_warnings():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return reader


def _unreadable(path: Path, error: RuntimeError) -> FileError:
    if "orthonormal" in str(error):
        return FileError(
            path,
            "its grid is sheared, which SimpleITK does not read",
            'set "overwrite_image_reader_writer": "NibabelIO" in dataset.json, or resample it',
        )
    unknown = "Unable to determine ImageIO reader" in str(error)
    if unknown and path.name.lower().endswith((".nii", ".nii.gz")):
        # The gate has let it pass.
        return FileError(
            path,
            "is NIfTI-2, which SimpleITK does not read",
            'set "overwrite_image_reader_writer": "NibabelIO" in dataset.json, or save it as NIfTI-1',
        )
    if unknown:
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
