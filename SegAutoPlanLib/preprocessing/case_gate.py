"""What the file of a preprocessed case may say: rules for its header, its arrays and its texts.

| part | |
|---|---|
| header | each array of a known type, side by side from the first byte on to the last of the file |
| image | (c, z, y, x) float32 |
| segmentation | (z, y, x) of whole numbers, as large as the image |
| foreground | (n, 3) voxels that lie in the image |
| texts | `stamps`: list of text; `foreground`: label and number of voxels of each class; `properties`: nnU-Net's |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..schema import Mismatch, Rule, anything, array_of, either, mapping_of, number, one_of, record, shown, text, whole

TYPES = {
    "F32": np.dtype("<f4"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"),
}
METADATA = "__metadata__"
LONGEST_TEXT = 100 << 20
LARGEST = 2**48
"""Bytes of a file, and voxels along an axis."""
ENTRY = record(
    {
        "dtype": one_of(*TYPES),
        "shape": array_of(whole(0, LARGEST), longest=8),
        "data_offsets": array_of(whole(0, LARGEST), length=2),
    },
    others=(),
)
TEXTS = mapping_of(text(longest=LONGEST_TEXT), longest=1000)


def header(value: Any) -> None:
    """A rule: the header of a case file; where its arrays end is left to `size_of_arrays`."""
    mapping_of(anything, text(longest=1000), longest=1000)(value)
    record({}, {METADATA: TEXTS})(value)
    arrays = {name: entry for name, entry in value.items() if name != METADATA}
    mapping_of(ENTRY)(arrays)
    reached = 0
    for name, entry in sorted(arrays.items(), key=lambda named: named[1]["data_offsets"]):
        start, end = entry["data_offsets"]
        size = math.prod(entry["shape"]) * TYPES[entry["dtype"]].itemsize
        if start != reached or end - start != size:
            raise Mismatch(f"must lie from {reached} to {reached + size}, not {start} to {end}", f'"{name}"')
        reached = end


def size_of_arrays(entries: Mapping[str, Any]) -> int:
    """Bytes of all arrays of a header that fits its rule."""
    return max((entry["data_offsets"][1] for name, entry in entries.items() if name != METADATA), default=0)


def shapes_of_a_case(entries: Mapping[str, Any]) -> None:
    """A rule: the header is that of a preprocessed case."""
    record({"image": record({"dtype": one_of("F32"), "shape": array_of(whole(1), length=4)})})(entries)
    shape = entries["image"]["shape"]
    whole_numbers = one_of("I16", "I32")
    record(
        {
            "segmentation": record({"dtype": whole_numbers, "shape": array_of(whole(1), length=3)}),
            "foreground": record({"dtype": whole_numbers, "shape": array_of(whole(0), length=2)}),
        }
    )(entries)
    if entries["segmentation"]["shape"] != shape[1:]:
        raise Mismatch(f"must be as large as the image {shape[1:]}", '"segmentation"')
    if entries["foreground"]["shape"][1] != 3:
        raise Mismatch("must have three numbers per voxel", '"foreground"')
    record({METADATA: record(dict.fromkeys(("stamps", "foreground", "properties"), text(longest=LONGEST_TEXT)))})(
        entries
    )


STAMPS = array_of(text(), longest=10_000)
LABEL = whole(-(2**15), 2**16)


def label_and_count(pair: Any) -> None:
    """A rule: a class (a label, or the labels of a region) and how many voxels of it are listed."""
    array_of(anything, length=2)(pair)
    either(array_of(LABEL, longest=10_000), LABEL)(pair[0])
    whole(0, LARGEST)(pair[1])


COUNTS = array_of(label_and_count, longest=100_000)


def counts_of(voxels: int) -> Rule:
    """The rule of the numbers of voxels per class, which are so many together."""

    def check(value: Any) -> None:
        COUNTS(value)
        total = sum(count for _, count in value)
        if total != voxels:
            raise Mismatch(f"counts {total} voxels, but there are {voxels}", '"foreground"')

    return check


def voxels_in(shape: tuple[int, ...]) -> Rule:
    """The rule of voxels (n, 3) that lie in a volume."""

    def check(voxels: np.ndarray) -> None:
        if len(voxels) and (voxels.min() < 0 or (voxels.max(axis=0) >= shape).any()):
            raise Mismatch(f"must be voxels of an image of {shown(list(shape))}", '"foreground"')

    return check


MILLIMETRES = number(above=0, highest=1e9)
FINITE = number(-1e12, 1e12)
AFFINE = array_of(array_of(FINITE, length=4), length=4)
SITK = record(
    {
        "spacing": array_of(MILLIMETRES, shortest=2, longest=4),
        "origin": array_of(FINITE, shortest=2, longest=4),
        "direction": array_of(FINITE, shortest=4, longest=16),
    },
    {"original_orientation": text(longest=10)},
)
NIBABEL = record({"original_affine": AFFINE}, {"reoriented_affine": AFFINE})
VOXELS = whole(0, 10**9)


def properties(value: Any) -> None:
    """A rule: nnU-Net's properties of a case, whose crop lies in its image."""
    record(
        {
            "spacing": array_of(MILLIMETRES, length=3),
            "shape_before_cropping": array_of(whole(1, 10**9), length=3),
            "bbox_used_for_cropping": array_of(array_of(VOXELS, length=2), length=3),
        },
        {"sitk_stuff": SITK, "nibabel_stuff": NIBABEL, "spacing_missing": text()},
    )(value)
    for (lower, upper), size in zip(value["bbox_used_for_cropping"], value["shape_before_cropping"], strict=True):
        if not lower < upper <= size:
            raise Mismatch(f"must lie in the image, not from {lower} to {upper} of {size}", '"bbox_used_for_cropping"')
    sitk = value.get("sitk_stuff")
    if sitk is not None:
        axes = len(sitk["spacing"])
        record({"origin": array_of(FINITE, length=axes), "direction": array_of(FINITE, length=axes**2)})(sitk)
