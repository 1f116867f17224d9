"""Which endings a segmentation can be written under by each writer."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileError

NIFTI = (".nii.gz", ".nii")
# Of ITK's many formats those that keep every label of a volume: no JPEG, whose values are about right.
ITK = (
    *NIFTI,
    ".nrrd",
    ".nhdr",
    ".mha",
    ".mhd",
    ".gipl",
    ".gipl.gz",
    ".hdr",
    ".img",
    ".img.gz",
    ".vtk",
    ".tif",
    ".tiff",
)
WRITABLE = {
    "NaturalImage2DIO": (".png", ".bmp", ".tif"),
    "SimpleITKIO": ITK,
    "SimpleITKIOWithReorient": ITK,
    "Tiff3DIO": (".tif", ".tiff"),
    "NibabelIO": NIFTI,
    "NibabelIOWithReorient": NIFTI,
}
"""By nnU-Net's names of the readers."""


def require_writable(image_io: str, file_ending: str, source: Path | str) -> None:
    """Refuse a pair of writer and ending that would come to nothing after the work is done.

    Args:
        source: the file that says the ending, for the sentence.

    Raises:
        FileError: the writer does not write such files.
    """
    endings = WRITABLE[image_io]
    if file_ending.lower() not in endings:
        raise FileError(
            source,
            f'"file_ending" {file_ending} is not what {image_io} writes ({", ".join(endings)})',
            "correct the ending, or image_reader_writer in the plan",
        )
