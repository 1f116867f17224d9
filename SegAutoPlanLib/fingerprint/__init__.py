"""What a dataset is like: sizes, spacings and foreground intensities."""

from .extraction import extract_fingerprint, read_fingerprint, write_fingerprint
from .fingerprint import Fingerprint, Intensities

__all__ = [
    "Fingerprint",
    "Intensities",
    "extract_fingerprint",
    "read_fingerprint",
    "write_fingerprint",
]
