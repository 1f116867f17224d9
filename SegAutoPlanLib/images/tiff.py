"""Reading TIFF pages: through ITK, and through tifffile for the kinds that ITK gets wrong."""

from __future__ import annotations

import lzma
import struct
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import SimpleITK as sitk

from ..errors import FileError
from .header_promise import require_promise
from .opening import opened
from .signatures import require_ending, type_of
from .simpleitk_io import read_gated_image
from .tiff_pages import BITS, PHOTOMETRIC, TILE_WIDTH, TiffPage, read_tiff_pages, tiff_promise

PALETTE = 3
TIFFFILE_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    OSError,
    RuntimeError,
    AssertionError,
    ImportError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""What tifffile and its codecs raise for damaged content, and for codecs that are not installed; its own TiffFileError
is a ValueError or an OSError."""
COLOURS = (2, 3, 4)


def read_tiff(path: Path) -> np.ndarray:
    """The samples as (y, x), (y, x, channel) or (page, y, x).

    ITK reduces tiled TIFF to 8-bit RGBA without a word and refuses 64-bit samples: those go through tifffile.

    Raises:
        FileError: the file is missing, damaged, or needs tifffile where that is not installed.
    """
    with opened(path) as (stream, file_bytes):
        require_ending(type_of(stream.read(16)), path)
        pages = read_tiff_pages(stream, file_bytes, path)
        promise = tiff_promise(pages, file_bytes, path)
    require_promise(promise, path)
    array = _read_with_tifffile(path) if _is_beyond_itk(pages[0]) else _read_with_itk(path)
    found = len(array) if array.ndim == 3 and (len(pages) > 1 or array.shape[2] not in COLOURS) else 1
    if found != len(pages) or array.ndim > 3:
        raise FileError(
            path,
            f"has {len(pages)} pages, but only {found} could be read",
            "save it as a TIFF with a page for each slice, all of one kind",
        )
    return array


def _is_beyond_itk(page: TiffPage) -> bool:
    return TILE_WIDTH in page.tags or page.first(BITS, 1) == 64 or page.first(PHOTOMETRIC, 1) == PALETTE


def _read_with_itk(path: Path) -> np.ndarray:
    image = read_gated_image(path)
    return sitk.GetArrayFromImage(image[:, :, 0] if image.GetDimension() == 3 and image.GetSize()[2] == 1 else image)


def _read_with_tifffile(path: Path) -> np.ndarray:
    tifffile = _tifffile(path)
    try:
        return tifffile.imread(path)
    except TIFFFILE_ERRORS as error:
        raise FileError(path, f"cannot be read as TIFF ({error})", "it is damaged: copy or export it again") from error


def _tifffile(path: Path) -> ModuleType:
    try:
        import tifffile
    except ImportError as error:
        raise FileError(
            path,
            "is a tiled, palette or 64-bit TIFF, which needs the Python package tifffile",
            "install tifffile, or save the image as a plain 8-bit, 16-bit or float TIFF in strips",
        ) from error
    return tifffile
