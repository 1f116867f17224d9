"""What a dataset is like: sizes, spacings and foreground intensities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .fingerprint import Fingerprint, Intensities

if TYPE_CHECKING:
    from .extraction import extract_fingerprint, read_fingerprint, write_fingerprint

__all__ = [
    "Fingerprint",
    "Intensities",
    "extract_fingerprint",
    "read_fingerprint",
    "write_fingerprint",
]


def __getattr__(name: str) -> Any:
    # A plan holds intensities; whoever only reads one needs none of the image libraries that extraction brings along.
    if name in __all__:
        from . import extraction

        return getattr(extraction, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
