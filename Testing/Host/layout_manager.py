"""``slicer.app.layoutManager()``: the three slice views' nodes and logics, without their windows."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore

from .views import SLICE_VIEWS, add_slice_logic


class SliceWidget:
    """``layoutManager.sliceWidget("Red")``, as far as nodes and logic go."""

    def __init__(self, logic: slicer.vtkMRMLSliceLogic) -> None:
        self._logic = logic

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        return self._logic

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> slicer.vtkMRMLSliceCompositeNode:
        return self._logic.GetSliceCompositeNode()


class LayoutManager(QtCore.QObject):
    """Makes the nodes of the slice views in the scene, so that what is shown where is saved with it."""

    layoutChanged = QtCore.Signal(int)

    def __init__(self, logic: slicer.vtkMRMLApplicationLogic) -> None:
        super().__init__()
        self.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        self.threeDViewCount = 0
        self._logics = vtk.vtkCollection()
        self._widgets = {name: SliceWidget(add_slice_logic(logic, name)) for name in SLICE_VIEWS}
        for widget in self._widgets.values():
            self._logics.AddItem(widget.sliceLogic())
        logic.SetSliceLogics(self._logics)

    def mrmlSliceLogics(self) -> vtk.vtkCollection:
        return self._logics

    def sliceViewNames(self) -> list[str]:
        return list(self._widgets)

    def sliceWidget(self, name: str) -> SliceWidget:
        return self._widgets[name]

    def setLayout(self, layout: int) -> None:
        """Remembered, not drawn."""
        self.layout = layout
        self.layoutChanged.emit(layout)

    def resetSliceViews(self) -> None:
        for widget in self._widgets.values():
            widget.sliceLogic().FitSliceToBackground()

    def resetThreeDViews(self) -> None:
        """There is no 3D view to reset."""
