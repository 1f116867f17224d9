"""A segmentation file as named segments: Slicer's `.seg.nrrd`, or any label map."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import FileError
from ..images.simpleitk_io import read_sitk_image
from ..labels import ENTRY_NAME, MAX_LABEL
from ..schema import problem_of, shown

SAME_PLACE_VOXELS = 0.01
MOST_SEGMENTS = 4000
"""An image taken for a label map has more values than any atlas has structures, and each would be looked for."""
NAME_KEY = re.compile(r"Segment([0-9]+)_Name")
NUMBER = r"0|[1-9][0-9]{0,5}"


@dataclass(frozen=True)
class Segment:
    """One named structure: the voxels of `layer` that have `value`."""

    name: str
    layer: int
    value: int


@dataclass(frozen=True)
class SegmentFile:
    """The layers of a segmentation, each a label map, and the segments in them."""

    path: Path
    layers: tuple[sitk.Image, ...]
    segments: tuple[Segment, ...]

    def masks_on(self, grid: sitk.Image, names: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        """The segments of these names one by one, as booleans (z, y, x) on the grid of an image by the nearest voxel;
        empty ones left out."""
        layers = [sitk.GetArrayFromImage(_on_grid(layer, grid)) for layer in self.layers]
        for name in names:
            places = [segment for segment in self.segments if segment.name == name]
            masks = (layers[segment.layer] == segment.value for segment in places)
            if places and (mask := np.logical_or.reduce(tuple(masks))).any():
                yield name, mask

    def has_voxels(self, name: str) -> bool:
        """Whether the segment is more than a name."""
        return any(
            bool((sitk.GetArrayViewFromImage(self.layers[segment.layer]) == segment.value).any())
            for segment in self.segments
            if segment.name == name
        )

    def lies_on_lattice_of(self, grid: sitk.Image) -> bool:
        """Whether voxel centres coincide with those of `grid`; a smaller extent is no difference."""
        layer = self.layers[0]
        if not np.allclose(layer.GetSpacing(), grid.GetSpacing(), rtol=1e-4):
            return False
        if not np.allclose(layer.GetDirection(), grid.GetDirection(), atol=1e-4):
            return False
        start = np.array(grid.TransformPhysicalPointToContinuousIndex(layer.GetOrigin()))
        return bool(np.abs(start - np.rint(start)).max() < SAME_PLACE_VOXELS)


def read_segment_file(path: Path, names: Mapping[int, str] | None = None) -> SegmentFile:
    """Read a segmentation.

    Segments are named by the file itself (`.seg.nrrd`), else by `names` (label value to name), else `label_1` and
    so on after their value.

    Raises:
        FileError: the file is missing, damaged, or not a 3-D label map.
    """
    image = read_sitk_image(path, may_have_components=True)
    components = image.GetNumberOfComponentsPerPixel()
    if image.GetDimension() != 3 or image.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise FileError(path, "is not a 3-D segmentation", "export the segmentation again as .seg.nrrd or label map")
    layers = (
        tuple(sitk.VectorIndexSelectionCast(image, layer) for layer in range(components))
        if components > 1
        else (image,)
    )
    segments = _named_segments(image, path)
    if not segments:
        if components > 1:
            raise FileError(
                path, f"has {components} channels but names no segments", "save it as .seg.nrrd from Slicer"
            )
        segments = _segments_of_values(image, path, names or {})
    for segment in segments:
        if segment.layer >= components:
            raise FileError(path, f"has no layer {segment.layer} for the segment {segment.name}", "save it again")
    return SegmentFile(path, layers, segments)


def _named_segments(image: sitk.Image, path: Path) -> tuple[Segment, ...]:
    """From Slicer's metadata; files of Slicer before 4.11 have a layer per segment and no label values."""
    keys = set(image.GetMetaDataKeys())
    numbers = [match[1] for key in keys if (match := NAME_KEY.fullmatch(key))]
    for number in numbers:
        if not re.fullmatch(NUMBER, number):
            raise FileError(path, f"has a segment with the number {shown(number)}", "save it again from Slicer")

    def number_of(key: str, default: int) -> int:
        return _whole_number(image.GetMetaData(key), key, path) if key in keys else default

    segments = tuple(
        Segment(
            image.GetMetaData(f"Segment{index}_Name").strip(),
            number_of(f"Segment{index}_Layer", index if f"Segment{index}_LabelValue" not in keys else 0),
            number_of(f"Segment{index}_LabelValue", 1),
        )
        for index in sorted(map(int, numbers))
    )
    _require_few(len(segments), path)
    _require_possible(segments, path)
    return segments


def _require_few(count: int, path: Path) -> None:
    if count > MOST_SEGMENTS:
        raise FileError(
            path,
            f"has {count} segments, and at most {MOST_SEGMENTS} can be imported",
            "give a label map, or check which file is the image",
        )


def _whole_number(text: str, key: str, path: Path) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", text) or int(text) > MAX_LABEL:
        raise FileError(path, f"{key} must be a whole number from 0 to {MAX_LABEL}, not {shown(text)}", "save it again")
    return int(text)


def _require_possible(segments: tuple[Segment, ...], path: Path) -> None:
    places: dict[tuple[int, int], str] = {}
    for segment in segments:
        if (problem := problem_of(ENTRY_NAME, segment.name)) is not None:
            raise FileError(path, f"the name of a segment {problem}", "rename it in Slicer and save it again")
        if segment.value == 0:
            raise FileError(path, f"the segment {segment.name} has the value 0 of the background", "save it again")
        other = places.setdefault((segment.layer, segment.value), segment.name)
        if other is not segment.name:
            raise FileError(
                path,
                f"the segments {other} and {segment.name} have the same voxels (layer {segment.layer}, value "
                f"{segment.value})",
                "remove one of them in Slicer and save it again",
            )


def _segments_of_values(image: sitk.Image, path: Path, names: Mapping[int, str]) -> tuple[Segment, ...]:
    values = np.unique(sitk.GetArrayViewFromImage(image))
    if not np.array_equal(values, np.rint(values)) or values.min() < 0:
        raise FileError(path, "holds values that are not labels", "give a label map, or check which file is the image")
    if values.max() > MAX_LABEL:
        problem = f"holds the value {values.max():g}, and labels go up to {MAX_LABEL}"
        raise FileError(path, problem, "renumber the labels, or check which file is the image")
    _require_few(np.count_nonzero(values), path)
    return tuple(Segment(names.get(int(value), f"label_{int(value)}"), 0, int(value)) for value in values if value != 0)


def _on_grid(layer: sitk.Image, grid: sitk.Image) -> sitk.Image:
    return sitk.Resample(layer, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, layer.GetPixelID())
