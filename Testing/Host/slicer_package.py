"""Completes slicer-core's ``slicer`` package with the application, the scene, the modules, Qt and the widgets.

Importing this module starts nothing; `complete` does it all, once a process.
"""

from __future__ import annotations

import atexit
import importlib.metadata
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

import PySide6

if sys.version_info < (3, 12) and PySide6.__version_info__[:2] >= (6, 12):
    raise RuntimeError(
        f"PySide6 {PySide6.__version__} miscounts references to None on Python before 3.12, until the process "
        'aborts: install "PySide6-Essentials<6.12"'
    )

import slicer

from .pythonqt import make_pythonqt_like

# Before the imports below: they define Qt classes, which must build on the PythonQt-like ones.
qt = sys.modules["qt"] = make_pythonqt_like()

from . import ctk_widgets, mrml_widgets, node_selectors, plot_widget  # noqa: E402
from .generic_colours import write_generic_colours  # noqa: E402
from .module_manager import (  # noqa: E402
    LoadableModule,
    MainWindow,
    qSlicerScriptedLoadableModule,
    qSlicerScriptedLoadableModuleWidget,
)
from .slicer_application import SlicerApplication  # noqa: E402
from .ui_loader import UiLoader  # noqa: E402

_STAND_INS = Path(__file__).parent / "slicer_files"


def complete() -> types.ModuleType:
    """Make ``slicer`` what Slicer's Python console has, as far as the host goes; returns it."""
    _add_python_files()
    _add_widgets()
    _add_module_names()
    slicer.mrmlScene = _new_scene()
    logic = _application_logic(slicer.mrmlScene)
    slicer.app = SlicerApplication(slicer.mrmlScene, logic)
    _add_loadable_modules(logic)
    return slicer


def main_window() -> MainWindow:
    """The window that ``slicer.util.mainWindow()`` finds from now on."""
    return MainWindow(slicer.app.moduleManager())


def _add_python_files() -> None:
    """Slicer's own from a source checkout, where one is named, else the stand-ins."""
    sources = os.environ.get("SLICER_SOURCE_DIR")
    slicer.__path__.append(str(Path(sources) / "Base" / "Python" / "slicer" if sources else _STAND_INS))
    importlib.import_module("slicer.util")


def _add_widgets() -> None:
    ctk = sys.modules["ctk"] = ctk_widgets.ctk_module()
    files = (mrml_widgets, node_selectors, plot_widget)
    widgets = {name: cls for file in files for name, cls in vars(file).items() if name.startswith("qMRML")}
    vars(slicer).update(widgets)
    for name in _NAMED_BY_SLICER:
        setattr(slicer, name, ctk_widgets.absent("slicer", name))
    UiLoader.classes = widgets | {name: cls for name, cls in vars(ctk).items() if name.startswith("ctk")}
    qt.QUiLoader = UiLoader


def _add_module_names() -> None:
    for name in ("modules", "moduleNames"):
        setattr(slicer, name, types.ModuleType(f"slicer.{name}"))
        sys.modules[f"slicer.{name}"] = getattr(slicer, name)
    slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget


def _new_scene() -> slicer.vtkMRMLScene:
    scene = slicer.vtkMRMLScene()
    # The wheel's number is Slicer's version and revision; a Slicer that opens our scenes looks at them.
    major, minor, revision = importlib.metadata.version("slicer-core").split(".")[:3]
    scene.SetVersion(f"Slicer {major}.{minor}.0 {revision}")
    return scene


def _application_logic(scene: slicer.vtkMRMLScene) -> slicer.vtkSlicerApplicationLogic:
    home = tempfile.mkdtemp(prefix="SlicerHost-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    write_generic_colours(Path(home) / "share" / "ColorFiles")
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetHomeDirectory(home)
    logic.SetShareDirectory("share")
    logic.SetMRMLScene(scene)
    return logic


def _add_loadable_modules(application_logic: slicer.vtkSlicerApplicationLogic) -> None:
    for name, logic_class in _LOADABLE_MODULES.items():
        logic = getattr(slicer, logic_class)()
        logic.SetMRMLApplicationLogic(application_logic)
        application_logic.SetModuleLogic(name, logic)
        if name == "Colors":
            application_logic.SetColorLogic(logic)
        if name != "Terminologies":  # would load Slicer's terminology files, which no wheel contains
            logic.SetMRMLScene(slicer.mrmlScene)
        slicer.app.moduleManager().add(LoadableModule(name, logic))


_LOADABLE_MODULES = {
    "Colors": "vtkSlicerColorLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}

# Slicer's own Python files compare widget types with these; none of our panels uses one.
_NAMED_BY_SLICER = (
    "qMRMLRangeWidget",
    "qMRMLSliderWidget",
    "qMRMLSpinBox",
    "qMRMLSubjectHierarchyComboBox",
    "qMRMLSubjectHierarchyTreeView",
)
