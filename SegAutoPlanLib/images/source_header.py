"""What an image file said about where its voxels lie: kept from reading to writing, unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class SitkGeometry:
    """The grid as SimpleITK states it: mm, LPS, axes x, y, z; two to four of them."""

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    """Row after row, direction cosines of the axes in the columns."""
    original_orientation: str | None = None
    """Of the file, in DICOM's letters, where the axes were turned on reading."""


@dataclass(frozen=True)
class NibabelGeometry:
    """The grid as nibabel states it: (4, 4) matrices from voxel (i, j, k) to RAS mm."""

    original_affine: Matrix
    """Of the file."""
    reoriented_affine: Matrix | None = None
    """Of the array, where the axes were turned on reading."""


@dataclass(frozen=True)
class SourceHeader:
    """Spacing of an image, and the geometry under the name of the library whose convention it follows.

    A picture or TIFF stack has neither of the two.
    """

    spacing: tuple[float, float, float]
    """(z, y, x) in mm; a 2-D image has a z spacing far above the others, as nnU-Net has it."""
    sitk: SitkGeometry | None = None
    nibabel: NibabelGeometry | None = None
    missing_sidecar: str | None = None
    """The name of the JSON file that should have given the spacing; 1 mm stands in for it."""

    def to_nnunet(self) -> dict[str, Any]:
        """The `properties` of nnU-Net's readers, keys in its order; lists and numbers only, so that JSON holds them."""
        properties: dict[str, Any] = {}
        if self.sitk is not None:
            stuff: dict[str, Any] = {
                "spacing": list(self.sitk.spacing),
                "origin": list(self.sitk.origin),
                "direction": list(self.sitk.direction),
            }
            if self.sitk.original_orientation is not None:
                stuff["original_orientation"] = self.sitk.original_orientation
            properties["sitk_stuff"] = stuff
        if self.nibabel is not None:
            stuff = {"original_affine": _lists(self.nibabel.original_affine)}
            if self.nibabel.reoriented_affine is not None:
                stuff["reoriented_affine"] = _lists(self.nibabel.reoriented_affine)
            properties["nibabel_stuff"] = stuff
        properties["spacing"] = list(self.spacing)
        if self.missing_sidecar is not None:
            properties["spacing_missing"] = self.missing_sidecar
        return properties

    @classmethod
    def from_nnunet(cls, properties: Mapping[str, Any]) -> SourceHeader:
        """The header in `properties` of nnU-Net's readers or of `to_nnunet`; keys of later stages are passed over."""
        sitk, nibabel = properties.get("sitk_stuff"), properties.get("nibabel_stuff")
        z, y, x = _numbers(properties["spacing"])
        return cls(
            (z, y, x),
            None if sitk is None else _sitk_geometry(sitk),
            None if nibabel is None else _nibabel_geometry(nibabel),
            properties.get("spacing_missing"),
        )


def matrix(values: np.ndarray) -> Matrix:
    """A two-dimensional array as nested tuples of Python's floats."""
    return tuple(_numbers(row) for row in values)


def read_otherwise(reader: str) -> tuple[str, str]:
    """Problem and remedy where a writer misses its own reader's geometry."""
    return (
        f"its image was not read with {reader}, so that its geometry cannot be written",
        'use the "image_reader_writer" of plans.json that the image was read with, or preprocess again',
    )


def _sitk_geometry(stuff: Mapping[str, Any]) -> SitkGeometry:
    grid = (_numbers(stuff[key]) for key in ("spacing", "origin", "direction"))
    return SitkGeometry(*grid, original_orientation=stuff.get("original_orientation"))


def _nibabel_geometry(stuff: Mapping[str, Any]) -> NibabelGeometry:
    turned = stuff.get("reoriented_affine")
    return NibabelGeometry(matrix(stuff["original_affine"]), None if turned is None else matrix(turned))


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _lists(values: Matrix) -> list[list[float]]:
    return [list(row) for row in values]
