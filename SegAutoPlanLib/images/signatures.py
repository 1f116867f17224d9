"""Of which type a file is, by its first bytes and by its ending."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileError
from .inflating import GZIP_MAGIC

NIFTI, GZIP, NRRD, METAIMAGE, GIPL = "NIfTI", "gzip", "NRRD", "MetaImage", "GIPL"
PNG, BMP, TIFF, JPEG = "PNG", "BMP", "TIFF", "JPEG"
TYPES_OF_ENDING = {
    ".nii.gz": (GZIP, NIFTI),
    ".nii": (NIFTI,),
    ".nrrd": (NRRD,),
    ".mha": (METAIMAGE,),
    ".gipl": (GIPL,),
    ".png": (PNG,),
    ".bmp": (BMP,),
    ".tif": (TIFF,),
    ".tiff": (TIFF,),
}
"""What a file of an ending may be; the longer of two endings comes first."""
PICTURES = (PNG, BMP, TIFF, JPEG)
GIPL_MAGIC = (b"\xef\xff\xe9\xb0", b"\x2a\xe3\x89\xb8")
SIGNATURES = (
    (GZIP, GZIP_MAGIC),
    (NRRD, b"NRRD000"),
    (PNG, b"\x89PNG\r\n\x1a\n"),
    (BMP, b"BM"),
    (TIFF, b"II*\0"),
    (TIFF, b"MM\0*"),
    (TIFF, b"II+\0"),
    (TIFF, b"MM\0+"),
    (JPEG, b"\xff\xd8\xff"),
    ("PDF", b"%PDF"),
    ("ZIP", b"PK\x03\x04"),
)


def type_of(start: bytes) -> str | None:
    """The type of a file that begins so; None for one that is not known."""
    for kind, signature in SIGNATURES:
        if start.startswith(signature):
            return kind
    if start[252:256] in GIPL_MAGIC:
        return GIPL
    if start[344:347] in (b"n+1", b"ni1") or start[4:7] in (b"n+2", b"ni2"):
        return NIFTI
    if b"NDims" in start and b"=" in start:
        return METAIMAGE
    return None


def require_ending(kind: str | None, path: Path) -> None:
    """Refuse a file whose content is of another type than its ending says.

    Raises:
        FileError: it is; an ending that is not known says nothing.
    """
    name = path.name.lower()
    ending = next((ending for ending in TYPES_OF_ENDING if name.endswith(ending)), None)
    if ending is None or kind in TYPES_OF_ENDING[ending]:
        return
    found = "is not of the type that its ending says" if kind is None else f"is {kind}, not what its ending says"
    raise FileError(path, found, "it is damaged, or should be exported again in the type of its ending")
