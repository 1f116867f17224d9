"""How a value of each type lies in a vtkMRMLScriptedModuleNode: the same keys and text that Slicer writes.

A node is a node reference (so that the scene keeps it through save, load and removal), a list is ``name.len`` and
``name.0``…, an optional is ``name.0`` (the value) or ``name.1`` (None), everything else is one text parameter.
"""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import Callable, MutableSequence

import slicer


class Text:
    """A type that one text holds."""

    def __init__(self, kind: type, default: object, to_text: Callable, from_text: Callable, accepts: tuple) -> None:
        self.kind = kind
        self.default = default
        self._to_text = to_text
        self._from_text = from_text
        self._accepts = accepts

    def check(self, value: object) -> None:
        if not isinstance(value, self._accepts):
            raise TypeError(f"{value!r} is not of type {self.kind.__name__}")

    def has(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, name: str, value: object) -> None:
        self.check(value)
        node.SetParameter(name, self._to_text(value))

    def read(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> object:
        return self._from_text(node.GetParameter(name))

    def remove(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> None:
        node.UnsetParameter(name)


class Node:
    """A MRML node of the class, or None."""

    default = None

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def check(self, value: object) -> None:
        if value is not None and not isinstance(value, self.kind):
            raise TypeError(f"{value!r} is not a {self.kind.__name__}")

    def has(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, name: str, value: slicer.vtkMRMLNode | None) -> None:
        self.check(value)
        node.SetParameter(name, "")  # so that a chosen None differs from never chosen
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> slicer.vtkMRMLNode | None:
        return node.GetNodeReference(name)

    def remove(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class OptionalOf:
    """A value of another storage, or None."""

    default = None

    def __init__(self, inner: Text | Node | ListOf) -> None:
        self._inner = inner

    def check(self, value: object) -> None:
        if value is not None:
            self._inner.check(value)

    def has(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.1")) or self._inner.has(node, f"{name}.0")

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, name: str, value: object) -> None:
        self.check(value)
        self.remove(node, name)
        if value is None:
            node.SetParameter(f"{name}.1", "None")
        else:
            self._inner.write(node, f"{name}.0", value)

    def read(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> object:
        return self._inner.read(node, f"{name}.0") if self._inner.has(node, f"{name}.0") else None

    def remove(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> None:
        node.UnsetParameter(f"{name}.1")
        self._inner.remove(node, f"{name}.0")


class ListOf:
    """A list of values of another storage."""

    def __init__(self, inner: Text | Node) -> None:
        self._inner = inner

    @property
    def default(self) -> list:
        return []

    def check(self, value: object) -> None:
        for item in value:
            self._inner.check(item)

    def has(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.len"))

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, name: str, value: typing.Iterable) -> None:
        items = list(value)
        self.check(items)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            for index, item in enumerate(items):
                self._inner.write(node, f"{name}.{index}", item)
            node.SetParameter(f"{name}.len", str(len(items)))

    def read(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> StoredList:
        count = int(node.GetParameter(f"{name}.len"))
        items = [self._inner.read(node, f"{name}.{index}") for index in range(count)]
        return StoredList(items, lambda changed: self.write(node, name, changed))

    def remove(self, node: slicer.vtkMRMLScriptedModuleNode, name: str) -> None:
        for index in range(int(node.GetParameter(f"{name}.len") or 0)):
            self._inner.remove(node, f"{name}.{index}")
        node.UnsetParameter(f"{name}.len")


class StoredList(MutableSequence):
    """A list that writes itself to the node when it is changed in place."""

    def __init__(self, items: list, save: Callable[[list], None]) -> None:
        self._items = items
        self._save = save

    def __getitem__(self, index: int) -> object:
        return self._items[index]

    def __setitem__(self, index: int, value: object) -> None:
        self._items[index] = value
        self._save(self._items)

    def __delitem__(self, index: int) -> None:
        del self._items[index]
        self._save(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def insert(self, index: int, value: object) -> None:
        self._items.insert(index, value)
        self._save(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, StoredList) else other)

    def __repr__(self) -> str:
        return repr(self._items)


Storage = Text | Node | OptionalOf | ListOf


def storage_for(kind: object) -> Storage:
    """The storage of a type. Raises TypeError for one that this stand-in does not know (Slicer may)."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType) and len(arguments) == 2 and arguments[1] is type(None):
        return OptionalOf(storage_for(arguments[0]))
    if origin is list:
        return ListOf(storage_for(arguments[0]))
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return Node(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return Text(kind, next(iter(kind)), lambda value: value.name, kind.__getitem__, (kind,))
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        return Text(kind, kind(), str, kind, (kind,))
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    raise TypeError(f"the test host's parameterNodeWrapper does not store {kind}")


_SIMPLE = {
    bool: Text(bool, False, str, "True".__eq__, (bool,)),
    int: Text(int, 0, str, int, (int,)),
    float: Text(float, 0.0, str, float, (int, float)),
    str: Text(str, "", str, str, (str,)),
}
