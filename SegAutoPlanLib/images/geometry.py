"""Where the voxels of an image lie: comparing grids, naming orientations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FileError
from .header_promise import CORRECT_HEADER, LARGEST_SPACING_MM, SMALLEST_SPACING_MM, by
from .image import Image
from .source_header import SourceHeader

WORLD_LETTERS = ("LR", "PA", "IS")
"""For each RAS axis the letters of its negative and positive end."""


def require_same_grid(image: Image, path: Path, reference: Image, reference_path: Path) -> None:
    """Refuse an image on another grid than the reference; a shifted origin alone is none, as in nnU-Net.

    Raises:
        FileError: shape or spacing differ.
    """
    if image.array.shape[1:] != reference.array.shape[1:]:
        raise FileError(
            path,
            f"its grid is {by(image.array.shape[1:])} voxels (z, y, x), but that of {reference_path.name} "
            f"is {by(reference.array.shape[1:])}",
            "resample one onto the other",
        )
    if image.spacing != reference.spacing and not np.allclose(image.spacing, reference.spacing):
        raise FileError(
            path,
            f"its spacing is {by(image.spacing)} mm (z, y, x), but that of {reference_path.name} "
            f"is {by(reference.spacing)}",
            "resample one onto the other, or correct the wrong header",
        )


def require_same_place(image: Image, path: Path, reference: Image, reference_path: Path) -> None:
    """Refuse an image whose voxels lie elsewhere in space than the reference's; both are of one shape.

    Raises:
        FileError: origin or directions differ by more than what file types round.
    """
    difference = displacement(image, reference)
    if difference is not None:
        raise FileError(
            path, f"{difference} from {reference_path.name}", "resample one onto the other, or correct the wrong header"
        )


def require_sound_spacing(image: Image, path: Path) -> None:
    """Refuse a spacing with which nothing can be computed.

    Raises:
        FileError: the spacing is zero, negative, NaN, infinite or absurd.
    """
    # A 2-D image counts as 999 pixels thick.
    if not all(SMALLEST_SPACING_MM <= value <= 999 * LARGEST_SPACING_MM for value in image.spacing):
        raise FileError(path, f"its spacing is {by(image.spacing)} mm (z, y, x)", CORRECT_HEADER)


def displacement(image: Image, reference: Image) -> str | None:
    """How two images of equal shape lie differently in space, in words; None where they do not or it is unknown."""
    if image.header == reference.header:
        return None
    affine, other = _affine_of_array(image.header), _affine_of_array(reference.header)
    if affine is None or other is None or affine.shape != other.shape:
        return None
    size = len(affine) - 1
    if not np.allclose(_directions(affine), _directions(other), atol=1e-4):
        return "its axes point in other directions"
    shift = float(np.linalg.norm(affine[:size, size] - other[:size, size]))
    # NIfTI keeps its origin in single precision: a hundredth of a voxel is no displacement.
    if shift > 0.01 * min(np.linalg.norm(affine[:size, :size], axis=0)):
        return f"its origin is {shift:.3g} mm away"
    return None


def orientation(header: SourceHeader) -> str | None:
    """Towards which side of the patient the axes x, y, z grow, e.g. `LPS`; None for 2-D or unknown geometry."""
    affine = affine_ras(header)
    if affine is None or len(affine) != 4:
        return None
    axes, flips = nearest_axes(affine)
    letters = [""] * 3
    for world, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        letters[axis] = WORLD_LETTERS[world][0 if flip else 1]
    return "".join(letters)


def nearest_axes(affine: np.ndarray) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """For each of right, anterior, superior: which voxel axis (i, j, k) runs along it, and whether backwards.

    The directions are first made orthogonal (the nearest rotation); each voxel axis in turn takes the free
    world axis that it is closest to.
    """
    left, _, right = np.linalg.svd(_directions(affine))
    rotation = left @ right
    axes, flips = [-1, -1, -1], [False, False, False]
    free = np.abs(rotation)
    for voxel_axis in range(3):
        world = int(np.argmax(free[:, voxel_axis]))
        axes[world] = voxel_axis
        flips[world] = bool(rotation[world, voxel_axis] < 0)
        free[world, :] = -1
    return (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2])


def affine_ras(header: SourceHeader) -> np.ndarray | None:
    """(4, 4), or (3, 3) in 2-D: voxel (i, j, k) to RAS mm; None where the file type has no geometry."""
    if header.nibabel is not None:
        return np.array(header.nibabel.original_affine)
    if header.sitk is None:
        return None
    grid = header.sitk
    rank = len(grid.spacing)
    size = min(rank, 3)
    affine = np.eye(size + 1)
    direction = np.reshape(grid.direction, (rank, rank))[:size, :size]
    affine[:size, :size] = direction * np.array(grid.spacing[:size])
    affine[:size, size] = grid.origin[:size]
    affine[:2] *= -1  # ITK's world is LPS
    return affine


def _affine_of_array(header: SourceHeader) -> np.ndarray | None:
    """As `affine_ras`, but of the array where its reader has turned the axes of the file."""
    if header.nibabel is not None and header.nibabel.reoriented_affine is not None:
        return np.array(header.nibabel.reoriented_affine)
    return affine_ras(header)


def _directions(affine: np.ndarray) -> np.ndarray:
    columns = affine[:-1, :-1]
    return columns / np.linalg.norm(columns, axis=0)
