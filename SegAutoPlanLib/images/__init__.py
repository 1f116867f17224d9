"""Image files and their grids; nothing here knows of datasets."""

from .image import Image
from .image_io import files_of_segmentation, read_image, read_segmentation, write_segmentation
from .source_header import SourceHeader
from .writable import require_writable

__all__ = [
    "Image",
    "SourceHeader",
    "files_of_segmentation",
    "read_image",
    "read_segmentation",
    "require_writable",
    "write_segmentation",
]
