"""``qMRMLWidget`` and small widgets on it, on the real MRML scene, with Slicer's names. Add one when needed."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Signal


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that knows the scene and tells its children (through connections made in the .ui file)."""

    stands_for_cpp = True
    cpp_signals = ("mrmlSceneChanged(vtkMRMLScene*)",)
    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qMRMLSegmentationShow3DButton(QtWidgets.QPushButton):
    """Shows or hides the closed surfaces of a segmentation."""

    stands_for_cpp = True

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__("Show 3D", parent)
        self._segmentation: slicer.vtkMRMLSegmentationNode | None = None
        self.setCheckable(True)
        self.setEnabled(False)
        self.toggled.connect(self._on_toggled)

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._segmentation

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self._segmentation = node
        self.setEnabled(node is not None)
        blocker = QtCore.QSignalBlocker(self)
        self.setChecked(node is not None and node.GetSegmentation().ContainsRepresentation(_CLOSED_SURFACE))
        blocker.unblock()

    def _on_toggled(self, shown: bool) -> None:
        if shown:
            self._segmentation.CreateClosedSurfaceRepresentation()
        else:
            self._segmentation.RemoveClosedSurfaceRepresentation()


_CLOSED_SURFACE = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
