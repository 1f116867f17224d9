"""How each widget class shows and returns a parameter's value. One row per class and type, as in Slicer."""

from __future__ import annotations

import dataclasses
import enum
import pathlib
import typing
from collections.abc import Callable

import ctk
import qt
import slicer

from .annotations import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange

_UNBOUNDED = {int: (-(2**31), 2**31 - 1), float: (float("-inf"), float("inf"))}


@dataclasses.dataclass
class Connector:
    """One widget's way to one parameter: show a value, return it, and say when the user changed it."""

    widget: object
    signal: object | None
    read: Callable[[], object]
    write: Callable[[object], None]
    _callback: Callable[[], None] | None = None

    def connect(self, callback: Callable[[], None]) -> None:
        self._callback = lambda *_: callback()
        if self.signal is not None:
            self.signal.connect(self._callback)

    def disconnect(self) -> None:
        if self.signal is not None:
            self.signal.disconnect(self._callback)


def connector_for(widget: object, kind: object, annotations: list) -> Connector:
    """Raises RuntimeError where Slicer has no connector between this widget class and this type."""
    is_class = isinstance(kind, type)
    widget_class = type(widget)
    choice = next((a for a in annotations if isinstance(a, Choice)), None)
    if kind is bool and widget_class in (qt.QCheckBox, ctk.ctkCheckBox, qt.QPushButton):
        return _of_property(widget, "checked", widget.toggled)
    if kind is int and widget_class in (qt.QSpinBox, qt.QSlider):
        return _number(widget, int, annotations)
    if kind in (int, float) and widget_class in (qt.QDoubleSpinBox, ctk.ctkSliderWidget, ctk.ctkDoubleSpinBox):
        return _number(widget, kind, annotations)
    if widget_class in (qt.QComboBox, ctk.ctkComboBox) and is_class and issubclass(kind, enum.Enum):
        label = getattr(kind, "label", lambda member: member.name)
        return _choice(widget, [(label(member), member) for member in kind])
    if widget_class in (qt.QComboBox, ctk.ctkComboBox) and choice is not None:
        return _choice(widget, [(str(value), value) for value in choice.choices])
    if kind is str and widget_class is qt.QLineEdit:
        return _of_property(widget, "text", widget.textChanged)
    if kind is str and widget_class is qt.QLabel:
        return _of_property(widget, "text", None)
    if kind is str and widget_class is qt.QTextEdit:
        return Connector(widget, widget.textChanged, widget.toPlainText, widget.setPlainText)
    if is_class and issubclass(kind, pathlib.PurePath) and widget_class is ctk.ctkPathLineEdit:
        return _path(widget, "currentPath", widget.currentPathChanged, kind)
    if is_class and issubclass(kind, pathlib.PurePath) and widget_class is ctk.ctkDirectoryButton:
        return _path(widget, "directory", widget.directoryChanged, kind)
    if widget_class is slicer.qMRMLNodeComboBox and _node_types(kind):
        widget.nodeTypes = _node_types(kind)
        return Connector(widget, widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"no connector from {kind} to {widget_class.__name__} {widget.objectName}")


def _of_property(widget: object, name: str, signal: object | None) -> Connector:
    def write(value: object) -> None:
        if getattr(widget, name) != value:  # writing the same text would move the cursor
            setattr(widget, name, value)

    return Connector(widget, signal, lambda: getattr(widget, name), write)


def _path(widget: object, name: str, signal: object, kind: type) -> Connector:
    return Connector(
        widget, signal, lambda: kind(getattr(widget, name)), lambda value: setattr(widget, name, str(value))
    )


def _number(widget: object, kind: type, annotations: list) -> Connector:
    low, high = _UNBOUNDED[int if type(widget) in (qt.QSpinBox, qt.QSlider) else float]
    bounded = False
    for annotation in annotations:
        if isinstance(annotation, WithinRange):
            low, high, bounded = annotation.minimum, annotation.maximum, True
        elif isinstance(annotation, Minimum):
            low = annotation.minimum
        elif isinstance(annotation, Maximum):
            high = annotation.maximum
        elif isinstance(annotation, SingleStep):
            widget.singleStep = annotation.value
        elif isinstance(annotation, Decimals):
            widget.decimals = annotation.value
    if type(widget) in (qt.QSlider, ctk.ctkSliderWidget) and not bounded:
        raise RuntimeError(f"{widget.objectName}: a slider needs a parameter with WithinRange")
    if kind is int and type(widget) not in (qt.QSpinBox, qt.QSlider):
        widget.decimals = 0
    widget.minimum, widget.maximum = low, high
    return Connector(
        widget, widget.valueChanged, lambda: kind(widget.value), lambda value: setattr(widget, "value", kind(value))
    )


def _choice(widget: object, options: list[tuple[str, object]]) -> Connector:
    labels, values = [label for label, _ in options], [value for _, value in options]
    widget.clear()
    widget.addItems(labels)
    return Connector(
        widget,
        widget.currentIndexChanged,
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
    )


def _node_types(kind: object) -> list[str]:
    kinds = [one for one in (typing.get_args(kind) or (kind,)) if one is not type(None)]
    if all(isinstance(one, type) and issubclass(one, slicer.vtkMRMLNode) for one in kinds):
        return [one.__name__ for one in kinds]
    return []
