"""One picture of a segmentation: three slices over the image, and the surfaces in 3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from .node_copies import copy_into
from .views import SLICE_VIEWS, SliceView, ThreeDView

_GAP = 4


def render_segmentation(
    volume: slicer.vtkMRMLVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
    path: str | Path,
    centre_ras: tuple[float, float, float] | None = None,
    view_size: tuple[int, int] = (600, 600),
) -> Path:
    """Write a PNG of axial slice and 3D view above coronal and sagittal slice, drawn by Slicer's own view classes.

    The slices pass through ``centre_ras`` (mm), by default where they cut the most of the segments. The scene is
    not changed: copies of the two nodes are shown in a scene of their own.
    """
    scene, logic = _scene_of_its_own()
    shown_volume, shown = _copies(volume, segmentation, scene)
    bounds = [0.0] * 6
    shown.GetRASBounds(bounds)
    if not vtk.vtkMath.AreBoundsInitialized(bounds):  # nothing is segmented
        shown_volume.GetRASBounds(bounds)
    middle = tuple((low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True))
    centre = centre_ras or _fullest_slices(shown) or middle
    pictures = {}
    for name in SLICE_VIEWS:
        view = SliceView(logic, name, shown_volume, centre, view_size)
        _annotate_slice(view, name)
        pictures[name] = view.pixels()
    in_3d = ThreeDView(logic, view_size)
    in_3d.look(bounds)
    _annotate_legend(in_3d, shown)
    gap_v = np.full((view_size[1], _GAP, 3), 255, np.uint8)
    upper = np.hstack([pictures["Red"], gap_v, in_3d.pixels()])
    lower = np.hstack([pictures["Green"], gap_v, pictures["Yellow"]])
    gap_h = np.full((_GAP, upper.shape[1], 3), 255, np.uint8)
    return write_png(np.vstack([upper, gap_h, lower]), path)


def write_png(pixels: np.ndarray, path: str | Path) -> Path:
    """Write (height, width, 3) uint8, top row first. Raises OSError where it cannot be written."""
    height, width, _ = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, 1)
    flat = np.ascontiguousarray(pixels[::-1]).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetInputData(image)
    writer.SetFileName(str(path))
    writer.Write()
    if writer.GetErrorCode():
        raise OSError(f"{path} could not be written")
    return Path(path)


def _scene_of_its_own() -> tuple[slicer.vtkMRMLScene, slicer.vtkMRMLApplicationLogic]:
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkMRMLApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    return scene, logic


def _copies(
    volume: slicer.vtkMRMLVolumeNode, segmentation: slicer.vtkMRMLSegmentationNode, scene: slicer.vtkMRMLScene
) -> tuple[slicer.vtkMRMLVolumeNode, slicer.vtkMRMLSegmentationNode]:
    copies = copy_into(scene, volume, deep=False), copy_into(scene, segmentation)
    for copy, original in zip(copies, (volume, segmentation), strict=True):
        copy.CreateDefaultDisplayNodes()
        if original.GetDisplayNode() is not None:
            copy.GetDisplayNode().CopyContent(original.GetDisplayNode())
    copies[1].CreateClosedSurfaceRepresentation()
    return copies


def _fullest_slices(segmentation: slicer.vtkMRMLSegmentationNode) -> tuple[float, float, float] | None:
    """The right, anterior and superior position (mm) of the planes that cut the most segmented voxels, if any."""
    merged = slicer.vtkOrientedImageData()
    segmentation.GenerateMergedLabelmapForAllSegments(merged, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY)
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(segmentation.GetParentTransformNode(), None, to_world)
    matrix = vtk.vtkMatrix4x4()
    merged.GetImageToWorldMatrix(matrix)
    if merged.GetPointData().GetScalars() is None:
        return None
    columns, rows, slices = merged.GetDimensions()
    labels = numpy_support.vtk_to_numpy(merged.GetPointData().GetScalars()).reshape(slices, rows, columns)
    first = np.array(merged.GetExtent())[::2]
    ijk = np.argwhere(labels)[:, ::-1] + first
    if not len(ijk):
        return None
    ijk = ijk[:: max(1, len(ijk) // _SAMPLES)]
    ras = np.array([to_world.TransformPoint(matrix.MultiplyPoint((*voxel, 1.0))[:3]) for voxel in ijk.tolist()])
    centre = []
    for positions in ras.T:
        counts, edges = np.histogram(positions, bins=20)
        fullest = int(np.argmax(counts))
        centre.append((edges[fullest] + edges[fullest + 1]) / 2)
    return tuple(centre)


_SAMPLES = 20_000
_LEGEND_ROWS = 12


def _annotate_slice(view: SliceView, name: str) -> None:
    left, right, bottom, top = view.edge_letters()
    for text, x, y in ((left, 0.02, 0.5), (right, 0.98, 0.5), (bottom, 0.5, 0.03), (top, 0.5, 0.93)):
        _write(view, text, x, y, size=20)
    title = f"{SLICE_VIEWS[name]}   {view.offset_text()}"
    _write(view, title, 0.02, 0.97, size=15, colour=view.node.GetLayoutColor(), align="left")


def _annotate_legend(view: ThreeDView, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
    segments = segmentation.GetSegmentation()
    count = segments.GetNumberOfSegments()
    entries = [(segments.GetNthSegment(i).GetName(), segments.GetNthSegment(i).GetColor()) for i in range(count)]
    if count > _LEGEND_ROWS:
        entries[_LEGEND_ROWS - 1 :] = [(f"and {count - _LEGEND_ROWS + 1} more", (1, 1, 1))]
    for row, (name, colour) in enumerate(entries):
        _write(view, name, 0.03, 0.96 - 0.04 * row, size=16, colour=colour, align="left")


def _write(
    view: SliceView | ThreeDView,
    text: str,
    x: float,
    y: float,
    size: int,
    colour: tuple[float, float, float] = (1, 1, 1),
    align: str = "centre",
) -> None:
    actor = vtk.vtkTextActor()
    actor.SetInput(text)
    style = actor.GetTextProperty()
    style.SetFontSize(size)
    style.SetColor(*colour)
    style.ShadowOn()
    style.SetVerticalJustificationToCentered()
    if align == "centre":
        style.SetJustificationToRight() if x > 0.9 else style.SetJustificationToCentered()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(x, y)
    view.renderer.AddViewProp(actor)
