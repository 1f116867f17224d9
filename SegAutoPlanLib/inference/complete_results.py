"""Whether a result that lies in a folder is a whole one: nothing that was cut short or damaged passes for done."""

from __future__ import annotations

import math
import pickletools
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import UserInputError
from ..files import open_regular, read_bytes
from ..images import read_segmentation
from ..images.image_size import largest_image

PROBABILITIES = "probabilities.npy"
MAX_PROPERTIES_BYTES = 64 << 20
LONGEST_ARRAY_HEADER = 1024
ENCRYPTED = 1
DAMAGED_HEADER = (SyntaxError, tokenize.TokenError)
"""numpy's, beside ValueError: it takes the header for Python."""


def is_complete_segmentation(file: Path, image_file: Path, image_io: str) -> bool:
    """Whether a label file can be read to its end, its checksum fitting, and it has as many voxels as its image."""
    try:
        extent = read_segmentation(file, image_io).array.shape[1:]
    except (UserInputError, OSError):
        return False
    # By size, not by axis: a reader may have turned the axes. An image whose header ITK cannot read has one.
    wanted = largest_image([image_file]).shape[:3]
    return len(wanted) < 2 or sorted(extent) == sorted((*wanted, 1)[:3])


def is_complete_npz(file: Path) -> bool:
    """Whether all of an archive of probabilities is there, its checksum fits, and it is as long as its shape says."""
    try:
        with open(open_regular(file), "rb") as stream, zipfile.ZipFile(stream) as archive:
            entry = archive.getinfo(PROBABILITIES)
            if entry.flag_bits & ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                return False
            with archive.open(entry) as array:
                read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, dtype = read_header[np.lib.format.read_magic(array)](array, LONGEST_ARRAY_HEADER)
                length = array.tell() + math.prod(shape) * dtype.itemsize
            return len(shape) == 4 and dtype.kind == "f" and length == entry.file_size and archive.testzip() is None
    except (UserInputError, OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, *DAMAGED_HEADER):
        return False


def is_complete_pickle(file: Path) -> bool:
    """Whether a pickle ends where it says that it ends; it is looked at and never loaded."""
    try:
        content = read_bytes(file, MAX_PROPERTIES_BYTES)
        *_, (_, _, position) = pickletools.genops(content)
    except (UserInputError, ValueError, IndexError, KeyError, OverflowError):
        return False
    return position == len(content) - 1
