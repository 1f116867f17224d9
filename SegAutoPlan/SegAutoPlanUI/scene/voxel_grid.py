"""Where the voxels of a volume are: MRML's IJK to RAS on one side, ITK's LPS geometry on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from SegAutoPlanLib.errors import UserInputError

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

# NIfTI keeps single precision; a thousandth of a millimetre over a whole volume is far below any voxel.
POSITION_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """A regular grid in the volume's own (local) coordinates; parent transforms are not part of it."""

    sizeIjk: tuple[int, int, int]
    ijkToRas: np.ndarray
    """4 x 4, millimetres."""

    @classmethod
    def ofVolume(cls, volumeNode: slicer.vtkMRMLVolumeNode) -> VoxelGrid:
        """The grid of a volume node.

        Raises:
            UserInputError: the node holds no image, or its axes are not perpendicular.
        """
        image = volumeNode.GetImageData()
        if image is None or image.GetNumberOfPoints() == 0:
            raise UserInputError(f"{volumeNode.GetName()}: the volume holds no image; load or choose another one.")
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        grid = cls(tuple(image.GetDimensions()), slicer.util.arrayFromVTKMatrix(matrix).copy())
        if not np.isfinite(grid.ijkToRas).all() or not grid.spacingIjkMm.all():
            raise UserInputError(
                f"{volumeNode.GetName()}: the volume has no spacing or no place; correct it in the Volumes module."
            )
        axes = grid.directionLps
        if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4):
            raise UserInputError(
                f"{volumeNode.GetName()}: the axes of the volume are not perpendicular, which NIfTI cannot express; "
                'resample it with "Resample Scalar/Vector/DWI Volume".'
            )
        return grid

    @property
    def spacingIjkMm(self) -> np.ndarray:
        return np.linalg.norm(self.ijkToRas[:3, :3], axis=0)

    @property
    def directionLps(self) -> np.ndarray:
        """3 x 3, a column an axis (i, j, k); left-handed grids have determinant -1."""
        return (RAS_TO_LPS @ self.ijkToRas)[:3, :3] / self.spacingIjkMm

    @property
    def originLps(self) -> np.ndarray:
        return (RAS_TO_LPS @ self.ijkToRas)[:3, 3]

    def placeOn(self, image) -> None:
        """Give a SimpleITK image this grid's geometry."""
        image.SetSpacing(self.spacingIjkMm.tolist())
        image.SetOrigin(self.originLps.tolist())
        image.SetDirection(self.directionLps.ravel().tolist())

    @classmethod
    def ofImage(cls, image) -> VoxelGrid:
        """The grid of a three-dimensional SimpleITK image."""
        lps = np.eye(4)
        lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        lps[:3, 3] = image.GetOrigin()
        return cls(tuple(image.GetSize()), RAS_TO_LPS @ lps)

    def matches(self, other: VoxelGrid) -> bool:
        """Whether both have the same size and every voxel at the same place (within a micrometre)."""
        if self.sizeIjk != other.sizeIjk:
            return False
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
        corners[:, :3] *= np.array(self.sizeIjk) - 1
        apart = corners @ (self.ijkToRas - other.ijkToRas).T
        return bool(np.abs(apart).max() <= POSITION_TOLERANCE_MM)
