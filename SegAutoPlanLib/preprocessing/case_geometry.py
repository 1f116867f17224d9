"""The way of one case from its file to the network's grid, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..images import SourceHeader


@dataclass(frozen=True)
class CaseGeometry:
    """What was done to a case's grid before it was resampled: its axes reordered, its empty border cut away.

    `spacing`, `shape_before_cropping` and `bounding_box` stand in the order of the transposed axes.
    """

    header: SourceHeader
    """Of the file, in the file's own axes."""
    axis_order: tuple[int, ...]
    """The plan's `transpose_forward`: the file's axis (0 is z) that each axis of the arrays was."""
    shape_before_cropping: tuple[int, ...]
    bounding_box: tuple[tuple[int, int], ...]
    """[lower, upper) of each axis."""

    @property
    def spacing(self) -> tuple[float, ...]:
        """mm."""
        return tuple(self.header.spacing[axis] for axis in self.axis_order)

    @property
    def cropped_shape(self) -> tuple[int, ...]:
        """After cropping and before resampling."""
        return tuple(upper - lower for lower, upper in self.bounding_box)

    @property
    def file_axes(self) -> tuple[int, ...]:
        """The arrays' axis that each axis of the file (z, y, x) became: transposes back."""
        return tuple(self.axis_order.index(axis) for axis in range(len(self.axis_order)))

    def to_nnunet(self) -> dict[str, Any]:
        """nnU-Net's `properties` of a preprocessed case, keys in its order. The axis order is not among them."""
        return {
            **self.header.to_nnunet(),
            "shape_before_cropping": list(self.shape_before_cropping),
            "bbox_used_for_cropping": [list(bounds) for bounds in self.bounding_box],
            "shape_after_cropping_and_before_resampling": list(self.cropped_shape),
        }

    @classmethod
    def from_nnunet(cls, properties: Mapping[str, Any], axis_order: Sequence[int]) -> CaseGeometry:
        """The geometry in nnU-Net's `properties`; the axis order is that of the plan they were made with."""
        box = tuple((int(lower), int(upper)) for lower, upper in properties["bbox_used_for_cropping"])
        shape = tuple(int(size) for size in properties["shape_before_cropping"])
        return cls(SourceHeader.from_nnunet(properties), tuple(axis_order), shape, box)
