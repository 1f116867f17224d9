"""Loads a Qt Designer .ui file as Slicer's ``qt.QUiLoader`` does, with the stand-ins for ``ctk*`` and ``qMRML*``.

Two things that C++ does by itself are done here: connections whose arguments are MRML objects (PySide6 cannot spell
``vtkMRMLScene*`` in a signal), and flag properties of the stand-ins. A widget class, signal or slot that does not
exist is an error, where Qt would only print a line.
"""

from __future__ import annotations

import functools
import operator
from typing import ClassVar
from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets


class UiLoader(QtUiTools.QUiLoader):
    """``qt.QUiLoader()``; ``classes`` are the stand-in widget classes by name."""

    classes: ClassVar[dict[str, type[QtWidgets.QWidget]]] = {}

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """The widget that the file describes. Raises ValueError for what the file names and nobody has."""
        root = ElementTree.fromstring(bytes(device.readAll().data()))
        self._check_classes(root)
        flags = _take_flags(root, self.classes)
        connections = _take_connections(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.ReadOnly)
        form = super().load(buffer, parent)
        if form is None:
            raise ValueError(f"not a .ui file: {self.errorString()}")
        for child in form.findChildren(QtCore.QObject):  # PySide6 makes each an attribute of the form, PythonQt none
            vars(form).pop(child.objectName, None)
        for widget_name, property_name, value in flags:
            setattr(_child(form, widget_name), property_name, value)
        for connection in connections:
            _connect(form, connection)
        return form

    def createWidget(
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        # Made in Python where possible: what C++ makes may lie where a deleted object lay that PySide6 still knows, and
        # would then come back as an object of that other class.
        cls = self.classes.get(class_name) or getattr(QtWidgets, class_name, None)
        if cls is None:  # Designer's own "Line"
            return super().createWidget(class_name, parent, name)
        widget = cls(parent)
        widget.setObjectName(name)
        return widget

    def _check_classes(self, root: ElementTree.Element) -> None:
        for widget in root.iter("widget"):
            name = widget.get("class")
            if name not in self.classes and name != "Line" and not hasattr(QtWidgets, name):
                raise ValueError(f"{widget.get('name')}: the test host has no widget class {name}; see Testing/Host")


def _take_flags(root: ElementTree.Element, classes: dict[str, type]) -> list[tuple[str, str, int]]:
    taken = []
    for widget in root.iter("widget"):
        cls = classes.get(widget.get("class"))
        for declared in widget.findall("property") if cls else ():
            value = declared.find("set")
            if value is not None and not hasattr(QtWidgets.QWidget, declared.get("name")):
                names = [name.rpartition("::")[2] for name in value.text.split("|")]
                combined = functools.reduce(operator.or_, (getattr(cls, name) for name in names), 0)
                taken.append((widget.get("name"), declared.get("name"), combined))
                widget.remove(declared)
    return taken


def _take_connections(root: ElementTree.Element) -> list[dict[str, str]]:
    section = root.find("connections")
    if section is None:
        return []
    taken = [{part.tag: part.text for part in connection} for connection in section if connection.tag == "connection"]
    root.remove(section)
    return taken


def _child(form: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = form if form.objectName == name else form.findChild(QtCore.QObject, name)
    if found is None:
        raise ValueError(f"the .ui file connects {name}, which it does not contain")
    return found


def _connect(form: QtWidgets.QWidget, connection: dict[str, str]) -> None:
    sender, receiver = _child(form, connection["sender"]), _child(form, connection["receiver"])
    slot = getattr(receiver, connection["slot"].partition("(")[0], None)
    if slot is None:
        raise ValueError(f"{connection['receiver']} has no slot {connection['slot']}")
    sender.connect(connection["signal"], slot)
