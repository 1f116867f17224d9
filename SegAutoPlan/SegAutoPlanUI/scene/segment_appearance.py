"""What a segment looks like and means: from a segment of the scene, and onto one."""

from __future__ import annotations

import slicer
import vtk

from SegAutoPlanLib.dataset_json import Appearance


def appearanceOf(segment: slicer.vtkSegment) -> Appearance:
    """The colour and the terminology entry of a segment."""
    terminology = vtk.reference("")
    segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology)
    return Appearance(tuple(segment.GetColor()), str(terminology))


def applyAppearance(appearance: Appearance, segment: slicer.vtkSegment) -> None:
    """Give a segment its colour and, where there is one, its terminology entry."""
    segment.SetColor(*appearance.color)
    if appearance.terminology:
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), appearance.terminology)
