"""Starts the stand-in for the Slicer application, once a process, and gives tests and the demo a handle on it."""

from __future__ import annotations

import os
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

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
        self.errors: list[str] = []
        from . import slicer_package

        self.slicer = slicer_package.complete()
        self.main_window = slicer_package.main_window()
        sys.excepthook = self._note_error
        self.slicer.app.startupCompleted.emit()

    def _note_error(self, kind: type, error: BaseException, trace: types.TracebackType | None) -> None:
        """Qt and VTK report an exception in a slot or an observer here, and go on."""
        self.errors.append("".join(traceback.format_exception(kind, error, trace)))
        sys.__excepthook__(kind, error, trace)

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
        self._process_events_once()
        while until is not None and not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s} s for {getattr(until, '__name__', until)}")
            time.sleep(0.005)
            self._process_events_once()

    def _process_events_once(self) -> None:
        from PySide6 import QtCore

        self.slicer.app.processEvents()
        # What was to be deleted later goes when Slicer's event loop goes on; here no loop runs that would do it.
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete.value)

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
