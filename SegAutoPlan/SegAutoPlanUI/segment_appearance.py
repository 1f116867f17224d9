"""What a segment looks like and means, kept in dataset.json from the training segments to the prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from SegAutoPlanLib.errors import UserInputError

# Distinct at a glance and for most colour-blind readers (Okabe and Ito, 2008), black left out.
FALLBACK_COLOURS = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)


@dataclass(frozen=True)
class SegmentAppearance:
    """Colour (r, g, b, each 0..1) and terminology entry (Slicer's string, or empty)."""

    color: tuple[float, float, float]
    terminology: str = ""

    def toJson(self) -> dict[str, Any]:
        return {"color": [round(part, 4) for part in self.color], "terminology": self.terminology}

    def applyTo(self, segment: slicer.vtkSegment) -> None:
        segment.SetColor(*self.color)
        if self.terminology:
            segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), self.terminology)


def appearanceOf(segment: slicer.vtkSegment) -> SegmentAppearance:
    terminology = vtk.reference("")
    segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology)
    return SegmentAppearance(tuple(segment.GetColor()), str(terminology))


def appearances(
    names: Iterable[str], known: Mapping[str, Any] | None, source: str = "dataset.json"
) -> dict[str, SegmentAppearance]:
    """The appearance of each name: from the `segments` of dataset.json, else a colour of its own.

    Raises:
        UserInputError: an entry of `segments` is not of the form {"color": [r, g, b], "terminology": "..."}.
    """
    result = {}
    for index, name in enumerate(names):
        entry = (known or {}).get(name)
        if entry is None:
            result[name] = SegmentAppearance(FALLBACK_COLOURS[index % len(FALLBACK_COLOURS)])
            continue
        try:
            red, green, blue = (float(part) for part in entry["color"])
            result[name] = SegmentAppearance((red, green, blue), str(entry.get("terminology", "")))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UserInputError(
                f'{source}: the entry of "{name}" in "segments" must be {{"color": [r, g, b], "terminology": "..."}}; '
                "correct or remove it."
            ) from None
    return result
