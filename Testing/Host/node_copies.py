"""Copies nodes into another scene, so that exporting or rendering them leaves the user's scene alone."""

from __future__ import annotations

import slicer
import vtk


def copy_into(
    scene: slicer.vtkMRMLScene, original: slicer.vtkMRMLDisplayableNode, deep: bool = True
) -> slicer.vtkMRMLDisplayableNode:
    """The node's content and its place in the world (its parent transforms become one) in another scene.

    A shallow copy of a volume shares its voxels; one of a segmentation shares its segments and their surfaces.
    """
    copy = scene.AddNewNodeByClass(original.GetClassName(), original.GetName())
    copy.CopyContent(original, deep)
    parent = original.GetParentTransformNode() if original.IsA("vtkMRMLTransformableNode") else None
    if parent is not None:
        to_world = vtk.vtkGeneralTransform()
        parent.GetTransformToWorld(to_world)
        transform = scene.AddNewNodeByClass("vtkMRMLTransformNode")
        transform.SetAndObserveTransformToParent(to_world)
        copy.SetAndObserveTransformNodeID(transform.GetID())
    return copy
