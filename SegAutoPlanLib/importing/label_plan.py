"""Which integer each named segment gets, the same one in every case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, UserInputError

IGNORE = "ignore"
"""nnU-Net's name of the label that is neither trained nor scored; it must have the highest value."""
MAX_OVERLAPPING_SEGMENTS = 63
"""A voxel's set of segments is kept in the bits of a 64-bit integer."""


@dataclass(frozen=True)
class LabelPlan:
    """Segment names, and the integer that stands for each set of segments that shares voxels.

    Without overlap each set is one segment, and label `i + 1` is segment `i`.
    """

    names: tuple[str, ...]
    values: dict[frozenset[str], int]

    def dataset_json(self) -> dict[str, Any]:
        """`labels`, and `regions_class_order` where segments overlap, for dataset.json."""
        holding = {name: sorted(value for names, value in self.values.items() if name in names) for name in self.names}
        if all(len(names) == 1 for names in self.values):
            return {"labels": {"background": 0, **{name: values[0] for name, values in holding.items()}}}
        # Regions painted later overwrite earlier ones, so those that hold most come first; "ignore" is no region.
        regions = sorted((name for name in self.names if name != IGNORE), key=lambda name: -len(holding[name]))
        labels = {name: holding[name] if len(holding[name]) > 1 else holding[name][0] for name in regions}
        labels.update({IGNORE: holding[IGNORE][0]} if IGNORE in holding else {})
        return {
            "labels": {"background": 0, **labels},
            "regions_class_order": [self._own_value(name) for name in regions],
        }

    def _own_value(self, name: str) -> int:
        """The value written where the region is predicted: that of the smallest set of segments that holds it."""
        return min((len(names), value) for names, value in self.values.items() if name in names)[1]

    def paint(self, masks: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The label values (z, y, x), uint16, of segments given as masks."""
        codes = codes_of(masks, self.names, shape)
        labels = np.zeros(shape, np.uint16)
        for names, value in self.values.items():
            labels[codes == sum(1 << self.names.index(name) for name in names)] = value
        return labels


def names_in_order(found: Sequence[tuple[Path, Sequence[str]]], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The wanted names, else all names in order of first appearance; a segment named `ignore` comes last.

    Args:
        found: each segmentation file and the names of its segments.

    Raises:
        UserInputError: a wanted name is in no case, two names differ in upper and lower case only, or a name is
            `background` or empty.
    """
    seen = list(dict.fromkeys(name for _, names in found for name in names))
    if wanted is not None:
        absent = [name for name in wanted if name not in seen]
        if absent:
            raise UserInputError(
                f"No case has a segment named {', '.join(absent)}; the segments are {', '.join(seen) or 'none'}: "
                "correct the names."
            )
        seen = list(wanted)
    if not seen:
        raise UserInputError("None of the segmentations has a segment; check the files.")
    for name in seen:
        if not name or name.casefold() == "background":
            file = next(file for file, names in found if name in names)
            raise FileError(file, f'a segment is named "{name}", which cannot be a label', "rename it in Slicer")
        twins = [other for other in seen if other != name and other.casefold() == name.casefold()]
        if twins:
            raise UserInputError(
                f'Segments named "{name}" and "{twins[0]}" differ in upper and lower case only, and would become two '
                "labels; give them one name."
            )
    return tuple(sorted(seen, key=lambda name: name == IGNORE))


def codes_of(masks: dict[str, np.ndarray], names: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The segments of each voxel as bits, bit `i` for `names[i]`; (z, y, x) int64.

    Raises:
        UserInputError: there are more names than bits.
    """
    if len(names) > MAX_OVERLAPPING_SEGMENTS:
        raise UserInputError(
            f"Overlapping segments are imported up to {MAX_OVERLAPPING_SEGMENTS} names, and there are {len(names)}; "
            "choose fewer segments."
        )
    codes = np.zeros(shape, np.int64)
    for index, name in enumerate(names):
        if name == IGNORE and name in masks:
            codes[masks[name]] = 1 << index
        elif name in masks:
            codes[masks[name]] |= 1 << index
    return codes


def plan_of_codes(names: tuple[str, ...], codes: Iterable[int]) -> LabelPlan:
    """The plan for every set of segments that occurs: single segments in order, the overlaps, and `ignore` last."""
    found = {frozenset(name for bit, name in enumerate(names) if code >> bit & 1) for code in codes if code}
    groups = sorted(found, key=lambda group: (IGNORE in group, len(group), sorted(map(names.index, group))))
    used = tuple(name for name in names if any(name in group for group in groups))
    return LabelPlan(used, {group: value for value, group in enumerate(groups, start=1)})
