"""A preprocessed case in nnU-Net's own files: `CASE.b2nd` and `CASE_seg.b2nd` (before, both in `CASE.npz`), `CASE.pkl`.

Arrays are read and written; the pickle is written and never read. An unpacked `CASE.npy` is a copy, and passed over.
"""

from __future__ import annotations

import pickle
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..files import atomic_path, open_to_read
from ..planning.budget import require_memory
from .blosc2_file import ENDING, in_a_sentence, open_blosc2, write_blosc2
from .case import PreprocessedCase

PACKED, PROPERTIES = ".npz", ".pkl"
ENDINGS = (ENDING, PROPERTIES)
LABELS = "_seg"
DATA_TYPES = ("float32",)
LABEL_TYPES = ("int8", "uint8", "int16")
LARGEST_HEADER = 10_000
REMEDY = "preprocess the case again with nnU-Net, or use preprocess here"
REFUSAL = ("is not a preprocessed case as nnU-Net writes it, or is damaged", REMEDY)
UNREADABLE = (
    *(KeyError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error),
    # Of a header that numpy tries to understand as one that Python 2 has written.
    *(SyntaxError, tokenize.TokenError),
)
"""What zipfile and numpy raise for damaged files."""
INT8_LARGEST = 127


def nnunet_files(folder: Path, identifier: str) -> tuple[Path, Path, Path]:
    """Image, labels and properties of a case as nnU-Net's present version has them."""
    names = (f"{identifier}{ENDING}", f"{identifier}{LABELS}{ENDING}", f"{identifier}{PROPERTIES}")
    image, labels, properties = (folder / name for name in names)
    return image, labels, properties


def write_nnunet_case(folder: Path, identifier: str, case: PreprocessedCase, patch_size: Sequence[int]) -> None:
    """Write a case for nnU-Net to train on; its properties last, which say that it is complete.

    Args:
        patch_size: what is read at a time, by which the files are divided.

    Raises:
        UserInputError: the disk is full; no half-written file is left.
    """
    image, labels, properties = nnunet_files(folder, identifier)
    if case.segmentation is None:
        raise ValueError("only cases with a segmentation are stored")
    segmentation = case.segmentation[None]
    small = segmentation.max(initial=0) <= INT8_LARGEST
    for path, array in ((image, case.data), (labels, segmentation.astype(np.int8 if small else np.int16))):
        patch = (1,) * (4 - len(patch_size)) + tuple(patch_size)
        chunks = tuple(min(edge, size) for edge, size in zip(patch, array.shape, strict=True))
        write_blosc2(path, array, chunks=chunks, cparams=_compression())
    locations = {
        label: np.concatenate([np.zeros((len(voxels), 1), np.int64), voxels.astype(np.int64)], axis=1)
        for label, voxels in case.foreground_locations.items()
    }
    with atomic_path(properties) as temporary:
        temporary.write_bytes(pickle.dumps({**case.geometry.to_nnunet(), "class_locations": locations}))


def _compression() -> dict[str, Any]:
    import blosc2

    return {"codec": blosc2.Codec.LZ4HC, "clevel": 5, "nthreads": 1}


@dataclass(frozen=True)
class _Packed:
    """An array whose values are still to be read."""

    path: Path
    name: str
    shape: tuple[int, ...]
    type_name: str
    unpack: Callable[[], np.ndarray]


def read_nnunet_case(folder: Path, identifier: str, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Image (c, z, y, x) float32 and labels (z, y, x) int16 of nnU-Net's files.

    Args:
        shape: (c, z, y, x) that the image must have by plan and dataset; nothing is unpacked that has another.

    Raises:
        UserInputError: a file is missing or damaged, or holds something else.
    """
    image_file, labels_file, _ = nnunet_files(folder, identifier)
    packed_file = folder / f"{identifier}{PACKED}"
    if image_file.is_file() or not packed_file.is_file():
        image, labels = _in_blosc2(image_file), _in_blosc2(labels_file)
    else:
        image, labels = _in_npz(packed_file, "data"), _in_npz(packed_file, "seg")
    _require(image, tuple(shape), DATA_TYPES)
    _require(labels, (1, *shape[1:]), LABEL_TYPES)
    data = np.ascontiguousarray(image.unpack(), np.float32)
    if not np.isfinite(data).all():
        raise FileError(image.path, "holds values that are no finite numbers", REMEDY)
    return data, np.ascontiguousarray(labels.unpack()[0], np.int16)


def _require(array: _Packed, shape: tuple[int, ...], types: tuple[str, ...]) -> None:
    if array.shape != shape:
        raise FileError(
            array.path,
            f"has {array.name} of {_by(array.shape)} values, which by the plan and the raw image are {_by(shape)}",
            "use the plan that it was made with, or preprocess the case again",
        )
    if array.type_name not in types:
        raise FileError(array.path, f"has {array.name} of the type {array.type_name}, not {' or '.join(types)}", REMEDY)


def _in_blosc2(path: Path) -> _Packed:
    size = path.stat().st_size if path.is_file() else 0
    require_memory(size, str(path), "the packed array", "use a computer with more memory")
    array = open_blosc2(path, size, REFUSAL)

    def unpack() -> np.ndarray:
        with in_a_sentence(path, REFUSAL):
            return np.asarray(array[:])

    name = "labels" if path.name.endswith(f"{LABELS}{ENDING}") else "an image"
    return _Packed(path, name, tuple(array.shape), str(array.dtype), unpack)


def _in_npz(path: Path, name: str) -> _Packed:
    """An array of an npz, of which so far only the header was read."""

    def opened(read: Callable[[Any], Any]) -> Any:
        try:
            with (
                open(open_to_read(path), "rb") as file,
                zipfile.ZipFile(file) as archive,
                archive.open(f"{name}.npy") as member,
            ):
                return read(member)
        except UNREADABLE as error:
            raise FileError(path, *REFUSAL) from error

    shape, dtype = opened(_header)
    what = "labels" if name == "seg" else "an image"
    return _Packed(path, what, shape, str(dtype), lambda: opened(_array))


def _header(member: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(member)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = read(member, max_header_size=LARGEST_HEADER)
    return shape, dtype


def _array(member: Any) -> np.ndarray:
    return np.lib.format.read_array(member, allow_pickle=False, max_header_size=LARGEST_HEADER)


def _by(shape: Sequence[int]) -> str:
    return " × ".join(f"{edge:,}" for edge in shape)
