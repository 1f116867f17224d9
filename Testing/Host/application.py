"""Starts the stand-in for the Slicer application, once a process, and gives tests and the demo a handle on it."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_STAND_INS = Path(__file__).parent / "slicer_files"

_running: HostApplication | None = None


def start_application() -> HostApplication:
    """The running host; the first call starts it. Afterwards ``import slicer, qt, ctk, vtk`` work as in Slicer.

    ``SLICER_SOURCE_DIR`` in the environment names a Slicer source checkout whose own Python files are then used
    instead of the stand-ins. Raises ImportError where slicer-core or PySide6 is not installed.
    """
    global _running
    if _running is None:
        _running = HostApplication()
    return _running


class HostApplication:
    """A started application: its scene, its modules, its event loop. Made by `start_application`."""

    def __init__(self) -> None:
        # Qt reads this when the application object is made; a developer may ask for a real screen.
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        _refuse_a_pyside_that_ends_the_process()
        self.errors: list[str] = []
        self.slicer = _provide_modules()
        self.uses_slicer_sources = bool(os.environ.get("SLICER_SOURCE_DIR"))
        self._add_loadable_modules()
        self.main_window = _main_window(self.slicer.app.moduleManager())
        sys.excepthook = self._note_error
        self.slicer.app.startupCompleted.emit()

    def _note_error(self, kind: type, error: BaseException, trace: types.TracebackType | None) -> None:
        """Qt and VTK report an exception in a slot or an observer here, and go on."""
        self.errors.append("".join(traceback.format_exception(kind, error, trace)))
        sys.__excepthook__(kind, error, trace)

    def _add_loadable_modules(self) -> None:
        from .module_manager import LoadableModule

        slicer = self.slicer
        logic_of_application = slicer.app.applicationLogic()
        for name, logic_class in _LOADABLE_MODULES.items():
            logic = getattr(slicer, logic_class)()
            logic.SetMRMLApplicationLogic(logic_of_application)
            logic_of_application.SetModuleLogic(name, logic)
            if name == "Colors":
                logic_of_application.SetColorLogic(logic)
            if name != "Terminologies":  # would load Slicer's terminology files, which no wheel contains
                logic.SetMRMLScene(slicer.mrmlScene)
            slicer.app.moduleManager().add(LoadableModule(name, logic))

    def load_module(self, module: str | Path) -> object:
        """Load a scripted module (a name of this repository, or a file), show it, and return its Python widget."""
        path = REPOSITORY / module / f"{module}.py" if isinstance(module, str) else Path(module)
        loaded = self.slicer.app.moduleManager().load_scripted(path)
        self.main_window.show()
        self.slicer.util.selectModule(loaded.name)
        self.process_events()
        return self.slicer.util.getModuleWidget(loaded.name)

    def unload_module(self, name: str) -> None:
        """Clean a scripted module up and forget it, so that it can be loaded afresh."""
        self.main_window.moduleSelector().leave()
        self.slicer.app.moduleManager().unload(name)
        self.process_events()

    def process_events(self, until: Callable[[], bool] | None = None, timeout_s: float = 10.0) -> None:
        """Let Qt work until the condition holds (once, if none is given). Raises TimeoutError if it never does."""
        deadline = time.monotonic() + timeout_s
        self.slicer.app.processEvents()
        while until is not None and not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s} s for {getattr(until, '__name__', until)}")
            time.sleep(0.005)
            self.slicer.app.processEvents()

    def screenshot(self, widget: object, path: str | Path) -> Path:
        """Write what the widget (a Qt widget, or a module's Python widget) looks like as a picture file."""
        self.process_events()
        widget = getattr(widget, "parent", widget) if not hasattr(widget, "grab") else widget
        if not widget.grab().save(str(path)):
            raise OSError(f"{path} could not be written")
        return Path(path)

    def close_scene(self) -> None:
        """File → Close scene."""
        self.slicer.mrmlScene.Clear(False)
        self.process_events()


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


def _refuse_a_pyside_that_ends_the_process() -> None:
    import PySide6

    if sys.version_info < (3, 12) and PySide6.__version_info__[:2] >= (6, 12):
        raise RuntimeError(
            f"PySide6 {PySide6.__version__} miscounts references to None on Python before 3.12, until the process "
            'aborts: install "PySide6-Essentials<6.12"'
        )


def _provide_modules() -> types.ModuleType:
    """Make ``qt``, ``ctk`` and the missing parts of ``slicer`` importable; returns ``slicer``."""
    import slicer

    from .pythonqt import make_pythonqt_like

    qt = sys.modules["qt"] = make_pythonqt_like()
    # Only now: these modules define Qt classes, which must see the PythonQt-like ones.
    from . import ctk_widgets, module_manager, mrml_widgets, plot_widget, slicer_application, ui_loader
    from .generic_colours import write_generic_colours

    ctk = sys.modules["ctk"] = ctk_widgets.ctk_module()
    sources = os.environ.get("SLICER_SOURCE_DIR")
    slicer.__path__.append(str(Path(sources) / "Base" / "Python" / "slicer" if sources else _STAND_INS))
    import slicer.util

    widgets = {name: cls for name, cls in vars(mrml_widgets).items() if name.startswith("qMRML")}
    widgets["qMRMLPlotWidget"] = plot_widget.qMRMLPlotWidget
    vars(slicer).update(widgets)
    for name in _NAMED_BY_SLICER:
        setattr(slicer, name, ctk_widgets.absent("slicer", name))
    ui_loader.UiLoader.classes = {**widgets, **{n: c for n, c in vars(ctk).items() if n.startswith("ctk")}}
    qt.QUiLoader = ui_loader.UiLoader
    slicer.qSlicerScriptedLoadableModule = module_manager.qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = module_manager.qSlicerScriptedLoadableModuleWidget
    for name in ("modules", "moduleNames"):
        setattr(slicer, name, types.ModuleType(f"slicer.{name}"))
        sys.modules[f"slicer.{name}"] = getattr(slicer, name)
    logic = slicer.vtkSlicerApplicationLogic()
    slicer.mrmlScene = slicer.vtkMRMLScene()
    home = tempfile.mkdtemp(prefix="SlicerHost-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    write_generic_colours(Path(home) / "share" / "ColorFiles")
    logic.SetHomeDirectory(home)
    logic.SetShareDirectory("share")
    logic.SetMRMLScene(slicer.mrmlScene)
    slicer.app = slicer_application.SlicerApplication(slicer.mrmlScene, logic)
    return slicer


# Slicer's own Python files compare widget types with these; none of our panels uses one.
_NAMED_BY_SLICER = (
    "qMRMLRangeWidget",
    "qMRMLSliderWidget",
    "qMRMLSpinBox",
    "qMRMLSubjectHierarchyComboBox",
    "qMRMLSubjectHierarchyTreeView",
)


def _main_window(manager: object) -> object:
    from .module_manager import MainWindow

    return MainWindow(manager)
