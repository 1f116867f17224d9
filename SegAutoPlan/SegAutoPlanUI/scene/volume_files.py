"""Volume nodes to image files that the engine (and nnU-Net) reads, and label files back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import slicer

from SegAutoPlanLib.errors import FileError, UserInputError
from SegAutoPlanLib.labels import MAX_LABEL

from .voxel_grid import VoxelGrid

FILE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
UNCOMPRESSED = {".nii.gz": ".nii"}
"""Of the same format, for a file that is read once; the others are written without compression as they are."""


def checkChannels(volumeNodes: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> VoxelGrid:
    """The grid that the channels of one case share.

    Raises:
        UserInputError: there is none, one holds no single-component image, or they differ in grid or in parent
            transform.
    """
    if not volumeNodes:
        raise UserInputError("No volume is chosen; choose the volume to segment.")
    for node in volumeNodes:
        image = node.GetImageData()
        if image is not None and image.GetNumberOfScalarComponents() != 1:
            raise UserInputError(
                f"{node.GetName()}: the volume has {image.GetNumberOfScalarComponents()} values a voxel; "
                'split it into scalar volumes with "Vector to Scalar Volume".'
            )
    first, *others = volumeNodes
    grid = VoxelGrid.ofVolume(first)
    for other in others:
        if other.GetTransformNodeID() != first.GetTransformNodeID():
            raise UserInputError(
                f"{other.GetName()} and {first.GetName()} are under different transforms; "
                "put both under the same one, or resample one to the other."
            )
        if not VoxelGrid.ofVolume(other).matches(grid):
            raise UserInputError(
                f"{other.GetName()} and {first.GetName()} are on different voxel grids; "
                'resample one to the other with "Resample Scalar/Vector/DWI Volume".'
            )
    return grid


def checkFileEnding(fileEnding: str, source: Path | str) -> None:
    """The check of an image file's ending; it gives nothing back.

    Raises:
        UserInputError: files of that ending cannot hold a volume with its geometry.
    """
    if fileEnding.lower() not in FILE_ENDINGS:
        raise UserInputError(
            f"{source}: images with the ending {fileEnding} cannot be written from Slicer; "
            f"use a model trained on {', '.join(FILE_ENDINGS)}, or run it from the command line."
        )


def uncompressedEnding(fileEnding: str) -> str:
    """The ending of a file that the reader of `fileEnding` takes, written and read without compression."""
    return UNCOMPRESSED.get(fileEnding.lower(), fileEnding)


def writeVolume(volumeNode: slicer.vtkMRMLScalarVolumeNode, path: Path, compress: bool = False) -> None:
    """Write a volume in its local coordinates (no parent transform), with its own scalar type."""
    array = slicer.util.arrayFromVolume(volumeNode)
    writeArray(array, VoxelGrid.ofVolume(volumeNode), path, compress)


def writeArray(arrayKji: np.ndarray, grid: VoxelGrid, path: Path, compress: bool = True) -> None:
    """Write `arrayKji` on `grid`; `compress=False` (which `.nii.gz` does not know) is for files that are read once."""
    # Not above: Slicer imports every module when it starts, and SimpleITK takes its time.
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(arrayKji)
    grid.placeOn(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), useCompression=compress, compressionLevel=1)


def readLabels(path: Path) -> tuple[np.ndarray, VoxelGrid]:
    """A label file as ([k, j, i] integers, its grid).

    Raises:
        UserInputError: the file cannot be read, or holds no labels.
    """
    import SimpleITK as sitk

    from SegAutoPlanLib.images.simpleitk_io import read_sitk_image

    try:
        image = read_sitk_image(path)
    except FileError as error:
        raise FileError(
            path, f"the label file cannot be read ({error.problem})", "run the segmentation again"
        ) from error
    array = sitk.GetArrayFromImage(image)
    is_label_map = image.GetDimension() == 3 and array.ndim == 3 and array.dtype.kind in "iu" and array.size
    if not is_label_map or array.min() < 0 or array.max() > MAX_LABEL:
        raise FileError(path, "is not a label map of ours", "run the segmentation again")
    return array, VoxelGrid.ofImage(image)
