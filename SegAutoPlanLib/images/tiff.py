"""Reading TIFF pages: through ITK, and through tifffile for the kinds that ITK gets wrong."""

from __future__ import annotations

import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import FileError
from .simpleitk_io import read_sitk_image

BITS_PER_SAMPLE, PHOTOMETRIC, TILE_WIDTH = 258, 262, 322
PALETTE = 3
FIELD_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 16: 8}
FIELD_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}


def read_tiff(path: Path) -> np.ndarray:
    """The samples as (y, x), (y, x, channel) or (page, y, x).

    ITK reduces tiled TIFF to 8-bit RGBA without a word and refuses 64-bit samples: those go through tifffile.

    Raises:
        FileError: the file is missing, damaged, or needs tifffile where that is not installed.
    """
    tags = _tags_of_first_page(path) if path.is_file() else {}
    if TILE_WIDTH in tags or tags.get(BITS_PER_SAMPLE) == 64 or tags.get(PHOTOMETRIC) == PALETTE:
        return _read_with_tifffile(path)
    image = read_sitk_image(path, several_components=True)
    return sitk.GetArrayFromImage(image[:, :, 0] if image.GetDimension() == 3 and image.GetSize()[2] == 1 else image)


def _read_with_tifffile(path: Path) -> np.ndarray:
    tifffile = _tifffile(path)
    try:
        return tifffile.imread(path)
    except (tifffile.TiffFileError, ValueError, KeyError, IndexError, OSError) as error:
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


def _tags_of_first_page(path: Path) -> dict[int, Any]:
    """The first value of each tag of the first page that has numbers; {} where this is no TIFF."""
    with path.open("rb") as stream:
        start = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 16:
            return {}
        big = struct.unpack_from(order + "H", start, 2)[0] == 43
        stream.seek(struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)[0])
        count_form, entry_bytes, value_offset = ("Q", 20, 12) if big else ("H", 12, 8)
        count_bytes = stream.read(struct.calcsize(count_form))
        if len(count_bytes) < struct.calcsize(count_form):
            return {}
        entries = stream.read(min(struct.unpack(order + count_form, count_bytes)[0], 4096) * entry_bytes)
        tags: dict[int, Any] = {}
        for entry in range(0, len(entries) - entry_bytes + 1, entry_bytes):
            tag, kind = struct.unpack_from(order + "HH", entries, entry)
            count = struct.unpack_from(order + ("Q" if big else "I"), entries, entry + 4)[0]
            if kind not in FIELD_FORMS:
                continue
            where, data = entry + value_offset, entries
            if count * FIELD_BYTES[kind] > entry_bytes - value_offset:
                stream.seek(struct.unpack_from(order + ("Q" if big else "I"), entries, where)[0])
                where, data = 0, stream.read(FIELD_BYTES[kind])
            if len(data) >= where + FIELD_BYTES[kind]:
                tags[tag] = struct.unpack_from(order + FIELD_FORMS[kind], data, where)[0]
    return tags
