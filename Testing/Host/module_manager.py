"""``slicer.modules`` and the life of a scripted module: load, show, leave, reload."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .mrml_widgets import qMRMLWidget


class LoadableModule:
    """A C++ module, of which the host has the logic only."""

    def __init__(self, name: str, logic: object) -> None:
        self.name = self.title = name
        self._logic = logic

    def logic(self) -> object:
        return self._logic

    def widgetRepresentation(self) -> None:
        """None: no C++ panel runs here."""
        return


class qSlicerScriptedLoadableModule:
    """What Slicer hands to a ScriptedLoadableModule as ``parent``."""

    def __init__(self, path: Path) -> None:
        self.name = self.title = path.stem
        self.path = str(path)
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.helpText = ""
        self.acknowledgementText = ""
        self.icon = QtGui.QIcon()
        self.hidden = False
        self.widgetRepresentationCreationEnabled = True
        self.associatedNodeTypes: list[str] = []
        self._representation: qSlicerScriptedLoadableModuleWidget | None = None

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """The module's one panel, made when first asked for."""
        if self._representation is None:
            self._representation = self.createNewWidgetRepresentation()
        return self._representation

    def createNewWidgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        representation = qSlicerScriptedLoadableModuleWidget(self.name)
        representation.setMRMLScene(slicer.mrmlScene)
        representation.reload()
        return representation

    def logic(self) -> None:
        """None, as in Slicer: the Python logic is ``slicer.util.getModuleLogic(name)``."""
        return


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The Qt widget around a module's Python widget object."""

    def __init__(self, module_name: str, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._module_name = module_name
        self._widget: object | None = None
        self._entered = False
        self.setObjectName(f"{module_name}ModuleWidget")
        self.setLayout(QtWidgets.QVBoxLayout())

    def self(self) -> object:
        return self._widget

    def reload(self) -> None:
        """Make the Python widget from the module as it is in ``sys.modules`` now, and set it up."""
        name = f"{self._module_name}Widget"
        self._widget = getattr(sys.modules[self._module_name], name)(self)
        setattr(slicer.modules, name, self._widget)
        self._widget.setup()
        if self._entered:
            self._widget.enter()

    def enter(self) -> None:
        self._entered = True
        if hasattr(self._widget, "enter"):
            self._widget.enter()

    def exit(self) -> None:
        self._entered = False
        if hasattr(self._widget, "exit"):
            self._widget.exit()

    @property
    def isEntered(self) -> bool:
        return self._entered


class ModuleManager(QtCore.QObject):
    """``slicer.app.moduleManager()``."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleLoaded = QtCore.Signal(str)
    cpp_signals = ("moduleAboutToBeUnloaded(QString)", "moduleLoaded(QString)")

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, LoadableModule | qSlicerScriptedLoadableModule] = {}

    def add(self, module: LoadableModule | qSlicerScriptedLoadableModule) -> None:
        """Make a module known as ``slicer.modules.<lower-case name>``."""
        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        setattr(slicer.moduleNames, module.name, module.name)
        self.moduleLoaded.emit(module.name)

    def load_scripted(self, path: Path) -> qSlicerScriptedLoadableModule:
        """Load a module file the way Slicer does: its folder joins ``sys.path``, its class gets a parent."""
        if path.stem in self._modules:
            return self._modules[path.stem]
        sys.path[:] = [str(path.parent), *(entry for entry in sys.path if entry != str(path.parent))]
        specification = importlib.util.spec_from_file_location(path.stem, path)
        python_module = importlib.util.module_from_spec(specification)
        sys.modules[path.stem] = python_module
        specification.loader.exec_module(python_module)
        module = qSlicerScriptedLoadableModule(path)
        setattr(slicer.modules, f"{path.stem}Instance", getattr(python_module, path.stem)(module))
        self.add(module)
        return module

    def module(self, name: str) -> LoadableModule | qSlicerScriptedLoadableModule | None:
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        return list(self._modules)

    def factoryManager(self) -> ModuleManager:
        return self

    def loadedModuleNames(self) -> list[str]:
        return list(self._modules)

    def isLoaded(self, name: str) -> bool:
        return name in self._modules

    def unload(self, name: str) -> None:
        """Announce that a scripted module goes (its widget cleans up) and forget it."""
        self.moduleAboutToBeUnloaded.emit(name)
        self._modules.pop(name).widgetRepresentation().deleteLater()
        delattr(slicer.moduleNames, name)
        for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
            if hasattr(slicer.modules, attribute):
                delattr(slicer.modules, attribute)
        del sys.modules[name]


class ModuleSelector(QtCore.QObject):
    """``slicer.util.moduleSelector()``: shows one module at a time in the main window's panel."""

    moduleSelected = QtCore.Signal(str)
    cpp_signals = ("moduleSelected(QString)",)

    def __init__(self, find: Callable[[str], object], panel: QtWidgets.QStackedWidget) -> None:
        super().__init__(panel)
        self._find = find
        self._panel = panel
        self._selected = ""

    @property
    def selectedModule(self) -> str:
        return self._selected

    def selectModule(self, name: str) -> None:
        """Leave the shown module, enter the named one. Raises ValueError for a module that is not loaded."""
        module = self._find(name)
        if module is None:
            raise ValueError(f"no module named {name} is loaded")
        if name == self._selected:
            return
        self.leave()
        self._selected = name
        representation = module.widgetRepresentation()
        if self._panel.indexOf(representation) < 0:
            self._panel.addWidget(representation)
        self._panel.setCurrentWidget(representation)
        representation.enter()
        self.moduleSelected.emit(name)

    def leave(self) -> None:
        """Leave the shown module, if there is one."""
        if self._selected:
            self._find(self._selected).widgetRepresentation().exit()
        self._selected = ""


class MainWindow(QtWidgets.QMainWindow):
    """The window that ``slicer.util.mainWindow()`` finds: a module panel and a status bar."""

    def __init__(self, manager: ModuleManager) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("3D Slicer (test host)")
        panel = QtWidgets.QStackedWidget()
        scroll = QtWidgets.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(panel)
        self.setCentralWidget(scroll)
        self._selector = ModuleSelector(manager.module, panel)
        self.statusBar()
        self.resize(560, 900)

    def moduleSelector(self) -> ModuleSelector:
        return self._selector
