"""What the module's widget asks of each panel, and how a panel gets its widgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import qt
import slicer

from SegAutoPlanLib.errors import printable

from ..parameters import SegAutoPlanParameterNode


@runtime_checkable
class Panel(Protocol):
    """One section of the module.

    It shows what the parameter node says was chosen and what the run folders say is happening, and keeps neither to
    itself: so a reopened module, another scene or a new Slicer shows the truth. The module's widget calls its
    panels in their order, from top to bottom.
    """

    widget: qt.QWidget
    """The section, there from the start. A widget in it with the dynamic property SlicerParameterName is connected
    to that parameter by the module's widget."""

    def setParameters(self, parameters: SegAutoPlanParameterNode | None) -> None:
        """Show these choices from now on; None while there is no scene.

        Called when the module is opened or entered, when a scene was loaded, and with None before one is closed.
        """

    def refresh(self) -> None:
        """Show how things stand now; called after each change of the parameters, so it has to be quick."""

    def enter(self) -> None:
        """The module is shown, and the parameters are set: start watching what changes by itself."""

    def exit(self) -> None:
        """Another module is shown: stop watching; what the user was promised still arrives."""

    def release(self) -> None:
        """The module is reloaded or Slicer ends: let go of timers, observers and runs. The last call; runs go on."""


LONGEST_SHOWN = 400


def plainText(text: str, longest: int = LONGEST_SHOWN) -> str:
    """A text that may hold names of strangers, for a label that shows plain text: one line of bearable length."""
    text = printable(text)
    return text if len(text) <= longest else f"{text[: longest // 2]} … {text[-longest // 2 :]}"


def plainToolTip(text: str) -> str:
    """The same as a tool tip, a button's text or a message: Qt would take what looks like HTML for HTML."""
    return plainText(text).replace("<", "‹").replace(">", "›")


def loadSection(uiFile: Path) -> tuple[qt.QWidget, Any]:
    """The widget that a .ui file describes, in the scene, and an object with its named widgets as attributes."""
    widget = slicer.util.loadUI(str(uiFile))
    widget.setMRMLScene(slicer.mrmlScene)
    return widget, slicer.util.childWidgetVariables(widget)
