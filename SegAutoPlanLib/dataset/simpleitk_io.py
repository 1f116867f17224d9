"""Reading and writing through SimpleITK: NIfTI, NRRD, MetaImage and GIPL in their exact geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..files import atomic_path
from .image import FileError, Image
from .nifti import check_nifti_is_complete

SPACING_FACTOR_2D = 999
"""nnU-Net gives the missing axis of a 2-D image this many times the larger in-plane spacing."""


def read_simpleitk(path: Path) -> Image:
    """Read a file in the voxel type that it has.

    A 2-D image becomes (1, 1, y, x), a 3-D one (1, z, y, x); the fourth axis of a 4-D file and the
    components of a vector image become channels. Nothing is reoriented.

    Raises:
        FileError: the file is missing, cut short or not an image.
    """
    image = read_sitk_image(path)
    return image_from_sitk(image, path)


def read_sitk_image(path: Path) -> sitk.Image:
    """`sitk.ReadImage`, with a sentence where it fails and where it would fill a cut-off file with zeros."""
    if not path.is_file():
        raise FileError(path, "the file is missing", "add it, or remove the case from the dataset")
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise FileError(
            path,
            f"cannot be read as an image ({_reason(error)})",
            "the file is damaged or of another type than its ending says: copy or export it again",
        ) from error
    check_nifti_is_complete(path)
    return image


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
    spacing = spacing_zyx(image)
    properties = {
        "sitk_stuff": {
            "spacing": list(image.GetSpacing()),
            "origin": list(image.GetOrigin()),
            "direction": list(image.GetDirection()),
        },
        "spacing": list(spacing),
    }
    return Image(array, spacing, properties)


def spacing_zyx(image: sitk.Image) -> tuple[float, float, float]:
    """(z, y, x) in mm as nnU-Net has it; without a z axis it is 999 times the larger in-plane spacing."""
    spacing = [abs(value) for value in image.GetSpacing()]
    if len(spacing) == 2:
        return max(spacing) * SPACING_FACTOR_2D, spacing[1], spacing[0]
    return spacing[2], spacing[1], spacing[0]


def write_simpleitk(array: np.ndarray, path: Path, properties: dict[str, Any]) -> None:
    """Write a segmentation (z, y, x) on the grid that `properties` describe, compressed and atomically."""
    image = sitk_segmentation(array, properties)
    with atomic_path(path) as temporary:
        write_sitk_image(image, temporary, path)


def sitk_segmentation(array: np.ndarray, properties: dict[str, Any]) -> sitk.Image:
    """The segmentation (z, y, x) as a SimpleITK image with the geometry of `sitk_stuff`.

    The channel axis of a 4-D input is dropped: a segmentation has three.
    """
    geometry = properties["sitk_stuff"]
    dimension = len(geometry["spacing"])
    if dimension == 2:
        array = array[0]
    image = sitk.GetImageFromArray(array)
    direction = np.reshape(geometry["direction"], (dimension, dimension))[
        : image.GetDimension(), : image.GetDimension()
    ]
    image.SetSpacing([float(value) for value in geometry["spacing"][: image.GetDimension()]])
    image.SetOrigin([float(value) for value in geometry["origin"][: image.GetDimension()]])
    image.SetDirection([float(value) for value in direction.ravel()])
    return image


def write_sitk_image(image: sitk.Image, temporary: Path, target: Path) -> None:
    """Write to `temporary`, naming `target` in the sentence when the file type or the disk refuses."""
    try:
        sitk.WriteImage(image, str(temporary), useCompression=True)
    except RuntimeError as error:
        raise FileError(
            target,
            f"cannot be written ({_reason(error)})",
            "check the file ending, the permissions and the free disk space",
        ) from error


def _reason(error: RuntimeError) -> str:
    """The last informative line of SimpleITK's long message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("sitk::ERROR: ").rstrip(".") if lines else "no reason given"
