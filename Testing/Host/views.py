"""Slicer's slice and 3D views off screen: real slice logics and displayable managers in a bare render window."""

from __future__ import annotations

import ctypes.util
import itertools
import os
import sys

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

# Without a screen VTK would first try X and complain; it asks this variable which window class to make.
if sys.platform == "linux" and not os.environ.get("DISPLAY") and ctypes.util.find_library("EGL"):
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

SLICE_VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
_SLICE_MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLModelSliceDisplayableManager")
_3D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)


def add_slice_logic(logic: slicer.vtkMRMLApplicationLogic, name: str) -> slicer.vtkMRMLSliceLogic:
    """Add a slice view's nodes ("Red", "Green" or "Yellow") to the scene, as Slicer's layout does at its start."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(logic.GetMRMLScene())
    slice_logic = slicer.vtkMRMLSliceLogic()
    slice_logic.SetMRMLApplicationLogic(logic)
    slice_logic.SetMRMLScene(logic.GetMRMLScene())
    node = slice_logic.AddSliceNode(name)
    node.SetOrientation(SLICE_VIEWS[name])
    node.SetLayoutLabel(name[0])
    node.SetLayoutColor(getattr(node, f"Get{name}Color")())
    return slice_logic


class _View:
    """A render window of ``size`` (width, height) pixels that shows what one view node sees."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetSize(*size)
        self._window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()

    def _show(self, factory: object, managers: tuple[str, ...], logic: object, node: slicer.vtkMRMLNode) -> None:
        factory.SetMRMLApplicationLogic(logic)
        for manager in managers:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._group.SetRenderer(self.renderer)
        self._group.Initialize(factory, self.renderer)
        self._group.SetMRMLDisplayableNode(node)

    def pixels(self) -> np.ndarray:
        """The view as (height, width, 3) uint8, top row first."""
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        flat = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return flat.reshape(height, width, -1)[::-1, :, :3]


class SliceView(_View):
    """One slice through the scene, in Slicer's orientation (the patient's right on the picture's left)."""

    def __init__(
        self,
        logic: slicer.vtkMRMLApplicationLogic,
        name: str,
        background: slicer.vtkMRMLVolumeNode,
        centre_ras: tuple[float, float, float],
        size: tuple[int, int],
    ) -> None:
        super().__init__(size)
        self._window.SetMultiSamples(0)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.logic = add_slice_logic(logic, name)
        self.node = self.logic.GetSliceNode()
        self.node.SetDimensions(*size, 1)
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(background.GetID())
        self.logic.FitSliceToBackground()
        self.node.JumpSliceByOffsetting(*centre_ras)
        self._add_image()
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        self._show(factory, _SLICE_MANAGERS, logic, self.node)
        self.logic.UpdatePipeline()

    def _add_image(self) -> None:
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(self.logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)

    def edge_letters(self) -> tuple[str, str, str, str]:
        """The anatomical directions at the left, right, bottom and top edge, of R L A P S I."""
        to_ras = slicer.util.arrayFromVTKMatrix(self.node.GetSliceToRAS())
        right, top = (_letters(to_ras[:3, column]) for column in (0, 1))
        return right[1], right[0], top[1], top[0]

    def offset_text(self) -> str:
        """Where the slice lies, as Slicer writes it above the view."""
        normal = slicer.util.arrayFromVTKMatrix(self.node.GetSliceToRAS())[:3, 2]
        axis = int(np.argmax(np.abs(normal)))
        position = self.node.GetSliceToRAS().GetElement(axis, 3)
        return f"{'RAS'[axis] if position >= 0 else 'LPI'[axis]}: {abs(position):.1f} mm"


def _letters(direction_ras: np.ndarray) -> tuple[str, str]:
    axis = int(np.argmax(np.abs(direction_ras)))
    towards, away = ("RL", "AP", "SI")[axis]
    return (towards, away) if direction_ras[axis] > 0 else (away, towards)


class ThreeDView(_View):
    """The surfaces of the scene."""

    def __init__(self, logic: slicer.vtkMRMLApplicationLogic, size: tuple[int, int]) -> None:
        super().__init__(size)
        self._window.SetMultiSamples(8)
        view_logic = slicer.vtkMRMLViewLogic()
        view_logic.SetMRMLApplicationLogic(logic)
        view_logic.SetMRMLScene(logic.GetMRMLScene())
        self.node = view_logic.AddViewNode("1")
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        self.node.SetOrientationMarkerType(slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeCube)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        self._show(factory, _3D_MANAGERS, logic, self.node)

    def look(self, bounds_ras: list[float], azimuth: float = -30, elevation: float = 20) -> None:
        """Point the camera at a box (r0, r1, a0, a1, s0, s1 in mm).

        It stands in front of the patient, turned by ``azimuth`` degrees to the patient's left (positive) or right,
        and raised by ``elevation`` degrees.
        """
        camera = self.renderer.GetActiveCamera()
        centre = np.reshape(bounds_ras, (3, 2)).mean(axis=1)
        camera.SetFocalPoint(*centre)
        camera.SetPosition(centre[0], centre[1] + 500, centre[2])
        camera.SetViewUp(0, 0, 1)
        camera.Azimuth(azimuth)
        camera.Elevation(elevation)
        self.renderer.ResetCamera(bounds_ras)
        camera.Zoom(_FILLED / self._half_width_of(bounds_ras))
        self.renderer.ResetCameraClippingRange()

    def _half_width_of(self, bounds_ras: list[float]) -> float:
        """How much of the half view the box's corners take, 1 being up to the edge."""
        reach = 0.0
        for corner in itertools.product(*np.reshape(bounds_ras, (3, 2))):
            self.renderer.SetWorldPoint(*corner, 1.0)
            self.renderer.WorldToView()
            x, y, _ = self.renderer.GetViewPoint()
            reach = max(reach, abs(x), abs(y))
        return reach


_FILLED = 0.95
