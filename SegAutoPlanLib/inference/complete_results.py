"""Whether a result that lies in a folder is a whole one: nothing that was cut short or damaged passes for done."""

from __future__ import annotations

import pickletools
from pathlib import Path

from ..errors import UserInputError
from ..files import read_bytes
from ..images import read_segmentation
from ..images.image_size import largest_image
from .probabilities_file import DAMAGED, open_array

MAX_PROPERTIES_BYTES = 64 << 20
CHUNK_BYTES = 1 << 20


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
        with open_array(file) as (entry, header, stream):
            if len(header.shape) != 4 or header.dtype.kind != "f" or header.length != entry.file_size:
                return False
            while stream.read(CHUNK_BYTES):  # the last one compares the checksum
                pass
            return True
    except (UserInputError, OSError, *DAMAGED):
        return False


def is_complete_pickle(file: Path) -> bool:
    """Whether a pickle ends where it says that it ends; it is looked at and never loaded."""
    try:
        content = read_bytes(file, MAX_PROPERTIES_BYTES)
        *_, (_, _, position) = pickletools.genops(content)
    except (UserInputError, ValueError, IndexError, KeyError, OverflowError):
        return False
    return position == len(content) - 1
