"""2-D pictures (`.png .bmp .tif`): grey, or colour with a channel for each component."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import FileError
from ..files import atomic_path
from .image import Image
from .simpleitk_io import SPACING_FACTOR_2D, read_sitk_image, write_sitk_image
from .source_header import SourceHeader
from .tiff import read_tiff

NATURAL_SPACING = (float(SPACING_FACTOR_2D), 1.0, 1.0)
"""(z, y, x): a picture's pixels count as 1 mm whatever its header says (nnU-Net's rule)."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_natural(path: Path) -> Image:
    """Read a picture as (1, 1, y, x), or (3, 1, y, x) / (4, 1, y, x) in colour.

    Raises:
        FileError: the file is missing, damaged or not a 2-D picture.
    """
    array = read_tiff(path) if path.suffix.lower() in (".tif", ".tiff") else _read_picture(path)
    if array.ndim == 2:
        channels = array[None, None]
    elif array.ndim == 3 and array.shape[2] in (3, 4):
        channels = np.moveaxis(array, -1, 0)[:, None]
    else:
        raise FileError(path, f"is not a grey or colour picture (its shape is {array.shape})", "give 2-D pictures")
    return Image(channels, SourceHeader(NATURAL_SPACING))


def write_natural(array: np.ndarray, path: Path, header: SourceHeader) -> None:
    """Write labels (1, y, x) as a picture, atomically; `header` has nothing to say here."""
    with atomic_path(path) as temporary:
        write_sitk_image(sitk.GetImageFromArray(array[0]), temporary, path)


def _read_picture(path: Path) -> np.ndarray:
    """(y, x) or (y, x, channel), with two kinds of ITK's reading brought to what picture libraries return."""
    image = read_sitk_image(path)
    if image.GetDimension() == 3 and image.GetSize()[2] == 1:
        image = image[:, :, 0]
    array = sitk.GetArrayFromImage(image)
    if _is_one_bit_png(path):
        return (array > 0).astype(np.uint8)
    if array.ndim == 3 and _is_grey_bmp(path):
        return np.ascontiguousarray(array[..., 0])
    return array


def _is_one_bit_png(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(26)
    return start.startswith(PNG_SIGNATURE) and start[24:26] == b"\x01\x00"


def _is_grey_bmp(path: Path) -> bool:
    """Whether this is an 8-bit BMP whose palette is the 256 greys in order (ITK returns it as colour)."""
    with path.open("rb") as stream:
        start = stream.read(54)
        if not start.startswith(b"BM") or len(start) < 54 or struct.unpack_from("<H", start, 28)[0] != 8:
            return False
        stream.seek(14 + struct.unpack_from("<I", start, 14)[0])
        palette = np.frombuffer(stream.read(1024), np.uint8)
    return palette.size == 1024 and bool((palette.reshape(256, 4)[:, :3] == np.arange(256)[:, None]).all())
