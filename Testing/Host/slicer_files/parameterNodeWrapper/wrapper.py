"""The ``@parameterNodeWrapper`` decorator: a class of typed members on top of a vtkMRMLScriptedModuleNode."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable

import qt
import slicer
import vtk

from .annotations import Default
from .connectors import Connector, connector_for
from .storage import Storage, storage_for

_PROPERTY = "SlicerParameterName"


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What the class body says about one member."""

    name: str
    kind: object
    annotations: list
    storage: Storage
    default: Default

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> object:
        if not self.storage.has(node, self.name):
            self.write(node, self.default.value)
        return self.storage.read(node, self.name)

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: object) -> None:
        """Raises TypeError for a wrong type, ValueError where an annotation forbids the value."""
        self.storage.check(value)
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                annotation.validate(value)
        self.storage.write(node, self.name, value)


def parameterNodeWrapper(cls: type | None = None) -> type | Callable[[type], type]:
    """Class decorator; ``cls(node)`` then reads and writes the node's parameters as attributes."""
    if cls is None:
        return parameterNodeWrapper
    parameters = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        if hasattr(_Wrapper, name):
            raise ValueError(f"{name} is a name that parameterNodeWrapper uses itself")
        parameters[name] = _parameter(cls, name, hint)
        setattr(cls, name, _member(name))
    members = {"allParameters": parameters, "__doc__": cls.__doc__, "__module__": cls.__module__}
    return type(cls.__name__, (_Wrapper, cls), members)


def isParameterNodeWrapper(value: object) -> bool:
    return isinstance(value, _Wrapper) or (isinstance(value, type) and issubclass(value, _Wrapper))


def findChildWidgetForParameter(widget: qt.QWidget, parameter: str) -> qt.QWidget | None:
    children = widget.findChildren(qt.QWidget)
    return next((child for child in children if child.property(_PROPERTY) == parameter), None)


def _parameter(cls: type, name: str, hint: object) -> Parameter:
    annotations = list(getattr(hint, "__metadata__", ()))
    kind = typing.get_args(hint)[0] if annotations else hint
    storage = storage_for(kind)
    default = next((one for one in annotations if isinstance(one, Default)), Default(generator=lambda: storage.default))
    if name in vars(cls):
        default = Default(vars(cls)[name])
    return Parameter(name, kind, annotations, storage, default)


def _member(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


class _Wrapper:
    """The methods of every wrapped class."""

    allParameters: typing.ClassVar[dict[str, Parameter]] = {}

    def __init__(self, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, tuple[dict[str, Connector], int]] = {}
        self._next_tag = 0
        self._showing = False
        for parameter in self.allParameters.values():
            parameter.read(parameterNode)

    def getValue(self, name: str) -> object:
        return self._known(name).read(self.parameterNode)

    def setValue(self, name: str, value: object) -> None:
        self._known(name).write(self.parameterNode, value)

    def default(self, name: str) -> Default:
        return self._known(name).default

    def dataType(self, name: str) -> object:
        return self._known(name).kind

    def _known(self, name: str) -> Parameter:
        if name not in self.allParameters:
            raise ValueError(f"no parameter {name}; there are {', '.join(self.allParameters)}")
        return self.allParameters[name]

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, before: int) -> None:
        self.parameterNode.EndModify(before)

    def Modified(self) -> None:
        self.parameterNode.Modified()

    def AddObserver(self, event: int, callback: Callable, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def connectGui(self, gui: object) -> int:
        """Connect every widget that has the dynamic property SlicerParameterName; returns a tag."""
        is_widget = isinstance(gui, qt.QWidget)
        widgets = gui.findChildren(qt.QWidget) if is_widget else vars(gui).values()
        return self.connectParametersToGui({w.property(_PROPERTY): w for w in widgets if w.property(_PROPERTY)})

    def connectParametersToGui(self, mapping: dict[str, qt.QWidget]) -> int:
        """Connect ``{parameter name: widget}``: the widgets show the values now and at every change."""
        connectors = {}
        for name, widget in mapping.items():
            known = self._known(name)
            connectors[name] = connector_for(widget, known.kind, known.annotations)
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(lambda name=name, connector=connector: self._take(name, connector))
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._show())
        self._guis[tag] = (connectors, observer)
        return tag

    def disconnectGui(self, tag: int) -> None:
        if tag in self._guis:
            connectors, observer = self._guis.pop(tag)
            self.RemoveObserver(observer)
            for connector in connectors.values():
                connector.disconnect()

    def _take(self, name: str, connector: Connector) -> None:
        if not self._showing:
            self.setValue(name, connector.read())

    def _show(self) -> None:
        if self._showing:
            return
        self._showing = True
        try:
            for connectors, _ in self._guis.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._showing = False
