"""Segmentation nodes to label arrays, with values pinned by segment name, and back, with names and looks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import slicer
import vtk

from SegAutoPlanLib.dataset_json import Appearance
from SegAutoPlanLib.errors import UserInputError

from .segment_appearance import applyAppearance
from .voxel_grid import VoxelGrid

LARGEST_LABEL = 32767


def segmentNames(segmentationNode: slicer.vtkMRMLSegmentationNode) -> dict[str, str]:
    """Segment ID of each segment name, in the order of the segmentation.

    Raises:
        UserInputError: two segments have the same name, so a label could not tell them apart.
    """
    segmentation = segmentationNode.GetSegmentation()
    result: dict[str, str] = {}
    for segmentId in segmentation.GetSegmentIDs():
        name = segmentation.GetSegment(segmentId).GetName()
        if name in result:
            raise UserInputError(
                f'{segmentationNode.GetName()}: two segments are called "{name}"; rename or merge one of them.'
            )
        result[name] = segmentId
    return result


def labelsFromSegmentation(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    referenceVolume: slicer.vtkMRMLVolumeNode,
    labels: Mapping[str, int],
) -> np.ndarray:
    """The segments named in `labels` as one integer array [k, j, i] on the grid of `referenceVolume`.

    A segment that is missing contributes nothing; where segments overlap the later one in `labels` wins. Parent
    transforms of both nodes are honoured: a voxel gets the label of what lies at its place in the world.

    Raises:
        UserInputError: two segments have the same name, or Slicer cannot rasterise the segmentation.
    """
    known = segmentNames(segmentationNode)
    wanted = [(name, value) for name, value in labels.items() if name in known]
    shape = VoxelGrid.ofVolume(referenceVolume).sizeIjk[::-1]
    if not wanted:
        return np.zeros(shape, np.uint8)
    with _temporaryNode("vtkMRMLColorTableNode") as colours, _temporaryNode("vtkMRMLLabelMapVolumeNode") as labelmap:
        _fillColourTable(colours, dict(wanted))
        exported = slicer.modules.segmentations.logic().ExportSegmentsToLabelmapNode(
            segmentationNode,
            [known[name] for name, _ in wanted],
            labelmap,
            referenceVolume,
            slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY,
            colours,
        )
        if not exported:
            raise UserInputError(
                f"{segmentationNode.GetName()}: the segmentation cannot be converted to a label map; "
                "check that it opens in the Segment Editor."
            )
        # Slicer gives the result a colour table of its own, made from ours.
        madeColours = labelmap.GetDisplayNode().GetColorNode()
        if madeColours is not colours:
            slicer.mrmlScene.RemoveNode(madeColours)
        array = slicer.util.arrayFromVolume(labelmap)
        largest = max(value for _, value in wanted)
        return array.astype(np.uint8 if largest < 256 else np.int16)


def writeSegments(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    labelsKji: np.ndarray,
    grid: VoxelGrid,
    segments: Sequence[tuple[str, tuple[int, ...]]],
    looks: Mapping[str, Appearance],
) -> None:
    """Put a label array into a segmentation node: a segment per entry of `segments`, in that order, empty ones too.

    Segments of the same names are replaced; others in the node stay as they are. The node is left under whatever
    parent transform it has: `grid` is in its local coordinates.
    """
    segmentation = segmentationNode.GetSegmentation()
    segmentationNode.SetSourceRepresentationToBinaryLabelmap()
    identifiers = {name: _renewedSegment(segmentation, name, looks[name]) for name, _ in segments}
    if all(len(values) == 1 for _, values in segments):
        _importLabels(segmentationNode, labelsKji, grid, {values[0]: identifiers[name] for name, values in segments})
        return
    for name, values in segments:  # regions overlap: a layer each
        region = np.isin(labelsKji, values).astype(np.uint8)
        _importLabels(segmentationNode, region, grid, {1: identifiers[name]})


def placeBeside(segmentationNode: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode) -> None:
    """Same parent transform, same reference grid and same subject hierarchy folder as the volume."""
    segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    segmentationNode.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    if hierarchy is None:
        return
    volumeItem = hierarchy.GetItemByDataNode(volumeNode)
    segmentationItem = hierarchy.GetItemByDataNode(segmentationNode)
    if volumeItem and segmentationItem:  # 0 where no plugin owns the node, as in a scene without an application
        hierarchy.SetItemParent(segmentationItem, hierarchy.GetItemParent(volumeItem))


def _renewedSegment(segmentation: slicer.vtkSegmentation, name: str, look: Appearance) -> str:
    earlier = segmentation.GetSegmentIdBySegmentName(name)
    if earlier:
        segmentation.RemoveSegment(earlier)
    identifier = segmentation.AddEmptySegment("", name, look.color)
    applyAppearance(look, segmentation.GetSegment(identifier))
    return identifier


def _importLabels(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    labelsKji: np.ndarray,
    grid: VoxelGrid,
    identifiers: Mapping[int, str],
) -> None:
    # Tables, not comparisons: with sixty labels those would read a large volume a hundred times.
    size = max(int(labelsKji.max(initial=0)), *identifiers) + 1
    present = np.zeros(size, bool)
    present[labelsKji] = True
    occurring = [value for value in sorted(identifiers) if present[value]]
    if not occurring:
        return
    # Slicer pairs the values that occur, in ascending order, with the identifiers, and then takes them to be 1, 2, 3...
    # Neither int64 nor bool has a VTK volume type.
    number = np.zeros(size, np.uint8 if len(occurring) < 256 else np.int16)
    number[occurring] = np.arange(1, len(occurring) + 1)
    updated = vtk.vtkStringArray()
    for value in occurring:
        updated.InsertNextValue(identifiers[value])
    with _temporaryNode("vtkMRMLLabelMapVolumeNode") as labelmap:
        slicer.util.updateVolumeFromArray(labelmap, number[labelsKji])
        labelmap.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(grid.ijkToRas))
        labelmap.SetAndObserveTransformNodeID(segmentationNode.GetTransformNodeID())
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labelmap, segmentationNode, updated)


def _fillColourTable(colours: slicer.vtkMRMLColorTableNode, labels: Mapping[str, int]) -> None:
    # The names of this table are what fixes the label values: ExportSegmentsToLabelmapNode looks segments up in it.
    colours.SetTypeToUser()
    colours.SetNumberOfColors(max(labels.values()) + 1)
    colours.SetColor(0, "background", 0, 0, 0, 0)
    for name, value in labels.items():
        colours.SetColor(value, name, 1, 1, 1, 1)


@contextlib.contextmanager
def _temporaryNode(className: str) -> Iterator[slicer.vtkMRMLNode]:
    node = slicer.mrmlScene.CreateNodeByClass(className)
    node.UnRegister(None)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    slicer.mrmlScene.AddNode(node)
    try:
        yield node
    finally:
        # Filling a volume gives it a display node, which would outlive it.
        display = node.GetDisplayNode() if node.IsA("vtkMRMLDisplayableNode") else None
        for done in filter(None, (display, node)):
            slicer.mrmlScene.RemoveNode(done)
