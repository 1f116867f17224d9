"""2-D pictures (`.png .bmp .tif`): grey, or colour with a channel for each component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..files import atomic_path
from .image import FileError, Image
from .simpleitk_io import SPACING_FACTOR_2D, read_sitk_image, write_sitk_image

NATURAL_SPACING = (float(SPACING_FACTOR_2D), 1.0, 1.0)
"""(z, y, x): a picture's pixels count as 1 mm whatever its header says (nnU-Net's rule)."""


def read_natural(path: Path) -> Image:
    """Read a picture as (1, 1, y, x), or (3, 1, y, x) / (4, 1, y, x) in colour.

    Raises:
        FileError: the file is missing, damaged or not a 2-D picture.
    """
    image = read_sitk_image(path)
    if image.GetDimension() == 3 and image.GetSize()[2] == 1:
        image = image[:, :, 0]
    if image.GetDimension() != 2:
        raise FileError(path, "is a stack, not a 2-D picture", "give 2-D pictures, or 3-D TIFF files")
    array = sitk.GetArrayFromImage(image)
    array = array[None, None] if array.ndim == 2 else np.moveaxis(array, -1, 0)[:, None]
    return Image(array, NATURAL_SPACING, {"spacing": list(NATURAL_SPACING)})


def write_natural(array: np.ndarray, path: Path, properties: dict[str, Any]) -> None:
    """Write labels (1, y, x) as a picture, atomically; `properties` have nothing to say here."""
    with atomic_path(path) as temporary:
        write_sitk_image(sitk.GetImageFromArray(array[0]), temporary, path)
