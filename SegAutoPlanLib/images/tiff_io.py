"""3-D TIFF stacks, whose spacing stands in a JSON file beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import FileError
from ..files import atomic_path, read_json, write_json
from ..schema import array_of, number, problem_of
from .header_promise import LARGEST_SPACING_MM, SMALLEST_SPACING_MM
from .image import Image
from .simpleitk_io import write_sitk_image
from .source_header import SourceHeader
from .tiff import read_tiff

CHANNEL_SUFFIX_LENGTH = len("_0000")
SPACING = array_of(number(SMALLEST_SPACING_MM, LARGEST_SPACING_MM), 3, 3)
UNIT_SPACING = (1.0, 1.0, 1.0)


def read_tiff_image(path: Path) -> Image:
    """Read a stack as (1, z, y, x); the spacing of `CASE_0000.tif` stands in `CASE.json`, without the channel.

    Raises:
        FileError: the file or its sidecar is damaged, or this is no stack of grey pictures.
    """
    return _read(path, path.with_name(f"{path.stem[:-CHANNEL_SUFFIX_LENGTH]}.json"))


def read_tiff_segmentation(path: Path) -> Image:
    """Read a label stack as (1, z, y, x); the spacing of `CASE.tif` stands in `CASE.json`.

    Raises:
        FileError: as for images.
    """
    return _read(path, sidecar_of(path))


def write_tiff(array: np.ndarray, path: Path, header: SourceHeader) -> None:
    """Write labels (z, y, x) as a compressed stack, with the sidecar that carries its spacing."""
    with atomic_path(path) as temporary:
        write_sitk_image(sitk.GetImageFromArray(array), temporary, path)
    write_json(sidecar_of(path), {"spacing": list(header.spacing)})


def sidecar_of(segmentation: Path) -> Path:
    """Where the spacing of a segmentation stands."""
    return segmentation.with_suffix(".json")


def _read(path: Path, sidecar: Path) -> Image:
    array = read_tiff(path)
    if array.ndim != 3 or array.shape[2] in (3, 4):
        raise FileError(
            path, "is not a 3-D stack of grey pictures", "save the volume as one TIFF with a page per slice"
        )
    if sidecar.exists():
        return Image(array[None], SourceHeader(_sidecar_spacing(sidecar)))
    return Image(array[None], SourceHeader(UNIT_SPACING, missing_sidecar=sidecar.name))


def _sidecar_spacing(sidecar: Path) -> tuple[float, float, float]:
    content = read_json(sidecar)
    values = content.get("spacing") if isinstance(content, dict) else None
    if (problem := problem_of(SPACING, values)) is not None:
        raise FileError(sidecar, f'"spacing" {problem}', 'write e.g. {"spacing": [2.0, 0.5, 0.5]} (z, y, x in mm)')
    return float(values[0]), float(values[1]), float(values[2])
