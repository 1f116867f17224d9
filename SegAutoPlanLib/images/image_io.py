"""Reading images and segmentations with the reader that a dataset names, and writing segmentations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import FileError, UserInputError
from .geometry import require_same_grid, require_sound_spacing
from .image import Image
from .natural_io import read_natural, write_natural
from .nibabel_io import read_nibabel, read_nibabel_reoriented, write_nibabel, write_nibabel_reoriented
from .simpleitk_io import (
    can_open,
    read_simpleitk,
    read_simpleitk_reoriented,
    write_simpleitk,
    write_simpleitk_reoriented,
)
from .source_header import SourceHeader
from .tiff_io import read_tiff_image, read_tiff_segmentation, sidecar_of, write_tiff


@dataclass(frozen=True)
class ImageIO:
    """Functions for some file types, under nnU-Net's name."""

    name: str
    endings: tuple[str, ...]
    """Those for which nnU-Net considers the reader by itself; a reader asked for by name takes more."""
    read: Callable[[Path], Image]
    write: Callable[[np.ndarray, Path, SourceHeader], None]
    read_labels: Callable[[Path], Image]
    opens: Callable[[Path], object]
    """Raises FileError for a file that this reader does not take."""
    sidecar_of: Callable[[Path], Path] | None = None
    """Where the file is that is written beside a segmentation."""


def _io(name: str, endings: tuple[str, ...], read, write, read_labels=None, opens=None, sidecar_of=None) -> ImageIO:
    return ImageIO(name, endings, read, write, read_labels or read, opens or read, sidecar_of)


LARGEST_FLOAT = float(np.finfo(np.float32).max)
NIFTI_ENDINGS = (".nii.gz", ".nii")
AUTOMATIC_IOS = (
    _io("NaturalImage2DIO", (".png", ".bmp", ".tif"), read_natural, write_natural),
    _io("SimpleITKIO", (".nii.gz", ".nrrd", ".mha", ".gipl"), read_simpleitk, write_simpleitk, opens=can_open),
    _io("Tiff3DIO", (".tif", ".tiff"), read_tiff_image, write_tiff, read_tiff_segmentation, sidecar_of=sidecar_of),
    _io("NibabelIO", NIFTI_ENDINGS, read_nibabel, write_nibabel),
    _io("NibabelIOWithReorient", NIFTI_ENDINGS, read_nibabel_reoriented, write_nibabel_reoriented),
)
"""In the order in which nnU-Net tries them."""
BY_NAME_ONLY = (_io("SimpleITKIOWithReorient", (), read_simpleitk_reoriented, write_simpleitk_reoriented),)
IMAGE_IOS = {io.name: io for io in (*AUTOMATIC_IOS, *BY_NAME_ONLY)}
VOLUME_ENDINGS = tuple(dict.fromkeys((*NIFTI_ENDINGS, *IMAGE_IOS["SimpleITKIO"].endings)))
"""Of files whose voxels have a place in space; the longer of two that fit comes first."""


def image_io_named(name: str) -> ImageIO:
    """The reader and writer under one of nnU-Net's names.

    Raises:
        UserInputError: there is no such reader.
    """
    try:
        return IMAGE_IOS[name]
    except KeyError:
        raise UserInputError(f'"{name}" is not a known image reader; use one of {", ".join(IMAGE_IOS)}.') from None


def choose_image_io(file_ending: str, example: Path | None, wanted: str | None = None) -> ImageIO:
    """The reader that was asked for by a known name, else the first one for the ending that really opens the example
    (nnU-Net's rule), else the first for the ending.

    Raises:
        UserInputError: no reader knows the ending.
    """
    if wanted in IMAGE_IOS:
        return IMAGE_IOS[wanted]
    candidates = [io for io in AUTOMATIC_IOS if file_ending.lower() in io.endings]
    if not candidates:
        known = sorted({ending for io in AUTOMATIC_IOS for ending in io.endings})
        raise UserInputError(
            f'dataset.json: "file_ending" {file_ending!r} is not a type that can be read; '
            f"convert the images to one of {', '.join(known)}."
        )
    if len(candidates) > 1 and example is not None:
        for candidate in candidates:
            with contextlib.suppress(FileError):
                candidate.opens(example)
                return candidate
    return candidates[0]


def read_image(files: Sequence[Path | str], image_io: str) -> Image:
    """Stack the files of a case into (c, z, y, x) float32.

    Raises:
        FileError: a file is missing, damaged, holds NaN or infinity, or lies on another grid than the first.
    """
    reader = image_io_named(image_io)
    paths = [Path(file) for file in files]
    parts = [reader.read(path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        require_sound_spacing(part, path)
        require_finite(part.array, path)
        require_same_grid(part, path, parts[0], paths[0])
    if len(parts) == 1:
        # A writable array that is its owner's alone: later stages normalise in place.
        array = np.require(parts[0].array, np.float32, ["C", "W"])
    else:
        array = np.concatenate([part.array for part in parts], axis=0, dtype=np.float32, casting="unsafe")
    return Image(array, parts[0].header)


def read_segmentation(file: Path | str, image_io: str) -> Image:
    """Read a label file as (1, z, y, x) int16 (int32 where values ask for it).

    Raises:
        FileError: the file is missing, damaged, has channels, or holds anything but whole numbers.
    """
    path = Path(file)
    return as_segmentation(image_io_named(image_io).read_labels(path), path)


def as_segmentation(image: Image, path: Path) -> Image:
    """The image with whole numbers as its values, checked."""
    if image.array.shape[0] != 1:
        raise FileError(
            path, f"a segmentation has one channel, not {image.array.shape[0]}", "save a single 3-D label map"
        )
    array = image.array
    if array.dtype.kind == "f":
        require_finite(array, path)
        if not np.array_equal(array, np.rint(array)):
            raise FileError(path, "holds values that are not whole numbers", "save label values, not probabilities")
    if array.dtype.itemsize > 2 or array.dtype == np.uint16:
        largest = int(max(abs(float(array.min(initial=0))), float(array.max(initial=0))))
        if largest > np.iinfo(np.int32).max:
            raise FileError(path, f"holds the value {largest}", "save label values, not intensities")
        dtype = np.int16 if largest <= np.iinfo(np.int16).max else np.int32
    else:
        dtype = np.int16
    return Image(np.require(array, dtype, ["C", "W"]), image.header)


def write_segmentation(array_zyx: np.ndarray, path: Path | str, header: SourceHeader, image_io: str) -> None:
    """Write (z, y, x) labels on the grid of the image that `header` came from, compressed and atomically.

    The file has 8 bits a voxel where every label is below 255, else 16 (nnU-Net's rule).

    Raises:
        FileError: the file cannot be written there, or the image was read by another library than the writer's.
    """
    largest = int(array_zyx.max(initial=0))
    if largest > np.iinfo(np.uint16).max or int(array_zyx.min(initial=0)) < 0:
        raise ValueError(f"labels must lie in 0..65535 to be written, but reach {largest}")
    labels = array_zyx.astype(np.uint8 if largest < 255 else np.uint16, copy=False)
    image_io_named(image_io).write(labels, Path(path), header)


def files_of_segmentation(path: Path, image_io: str) -> tuple[Path, ...]:
    """The files that `write_segmentation` leaves; the segmentation itself is the last."""
    sidecar_of = image_io_named(image_io).sidecar_of
    return (path,) if sidecar_of is None else (sidecar_of(path), path)


def require_finite(array: np.ndarray, path: Path) -> None:
    """Refuse an image with voxels that are no numbers.

    Raises:
        FileError: some voxel is NaN or infinite.
    """
    if array.dtype.kind != "f":
        return
    flat = array.reshape(-1)
    # The sum of squares is finite when every value is, and needs no array of booleans. Of doubles it tells too that
    # none becomes infinite as a float.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.dot(flat, flat)
    if np.isfinite(squares) and (array.itemsize <= 4 or squares < LARGEST_FLOAT**2):
        return
    if np.isnan(flat).any():
        raise FileError(path, "holds NaN voxels", "replace them (for instance by the background value)")
    if np.isinf(flat).any():
        raise FileError(path, "holds infinite voxels", "replace them (for instance by the largest true value)")
    if array.itemsize > 4 and np.abs(flat).max() > LARGEST_FLOAT:
        raise FileError(path, "holds voxels beyond 3.4e38", "rescale it to values that a 32-bit float can have")
