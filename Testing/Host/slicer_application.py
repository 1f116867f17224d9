"""``slicer.app``: the parts of qSlicerApplication that scripted modules use, on a QApplication without a screen."""

from __future__ import annotations

import sys
import tempfile

import slicer
from PySide6 import QtCore, QtWidgets

from .io_manager import IOManager
from .layout_manager import LayoutManager
from .module_manager import ModuleManager


class SlicerApplication(QtWidgets.QApplication):
    """Answers as Slicer does with ``--testing``: message boxes are skipped and logged."""

    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)

    applicationName = "Slicer"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"
    majorVersion, minorVersion = 5, 13
    slicerHome = ""

    def __init__(self, scene: slicer.vtkMRMLScene, logic: slicer.vtkSlicerApplicationLogic) -> None:
        super().__init__([sys.argv[0] or "Slicer"])
        QtCore.QCoreApplication.setOrganizationName("SegAutoPlanTestHost")
        self._folder = tempfile.TemporaryDirectory(prefix="SlicerHost-")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, self._folder.name)
        self.temporaryPath = self._folder.name
        self._scene = scene
        self._logic = logic
        self._io_manager = IOManager(scene)
        self._module_manager = ModuleManager()
        self._layout_manager = LayoutManager(logic)

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        return self._scene

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self._logic

    def coreIOManager(self) -> IOManager:
        return self._io_manager

    def ioManager(self) -> IOManager:
        return self._io_manager

    def moduleManager(self) -> ModuleManager:
        return self._module_manager

    def layoutManager(self) -> LayoutManager:
        return self._layout_manager

    def testingEnabled(self) -> bool:
        return True

    def isStartupCompleted(self) -> bool:
        return True

    def settings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    userSettings = settings
    revisionUserSettings = settings

    def translate(self, context: str, text: str) -> str:
        return text

    def tr(self, text: str) -> str:
        return text

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        """The environment that processes are started from."""
        return QtCore.QProcessEnvironment.systemEnvironment()

    def pauseRender(self) -> None:
        """Nothing renders here."""

    def resumeRender(self) -> None:
        """Nothing renders here."""

    def moduleDocumentationUrl(self, module: str) -> str:
        return f"{self.documentationBaseUrl}{module}"

    def restart(self) -> None:
        raise NotImplementedError("the test host does not restart")
