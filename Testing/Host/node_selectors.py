"""``qMRMLNodeComboBox`` and ``qMRMLCheckableNodeComboBox``: choose nodes of the scene."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from .mrml_widgets import qMRMLWidget


class _NodeList(qMRMLWidget):
    """What the two node selectors share: which nodes of the scene they offer, kept up to date."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node_types: list[str] = []
        self._attributes: list[tuple[str, str, str | None]] = []
        self._observed: list[tuple[vtk.vtkObject, int]] = []
        self._flags = {"showHidden": False, "noneEnabled": False, "addEnabled": True, "removeEnabled": True}
        self._flags |= {"renameEnabled": False, "editEnabled": False, "showChildNodeTypes": True}
        self._flags |= {"selectNodeUponCreation": True}
        self.destroyed.connect(lambda _=None, observed=self._observed: _remove_observers(observed))

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        _remove_observers(self._observed)
        super().setMRMLScene(scene)
        if scene is not None:
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent):
                self._observed.append((scene, scene.AddObserver(event, self._on_scene_event)))
        self._refresh()

    def _on_scene_event(self, caller: slicer.vtkMRMLScene, event: str) -> None:
        if not caller.IsBatchProcessing():
            self._refresh()

    def addAttribute(self, nodeType: str, name: str, value: str | None = None) -> None:
        """Offer nodes of this type only where their attribute has this value (any value, if None)."""
        self._attributes.append((nodeType, name, value))
        self._refresh()

    def _nodes(self) -> list[slicer.vtkMRMLNode]:
        """The nodes offered, in the order of the scene."""
        if self._scene is None:
            return []
        every = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        return [node for node in every if self._offers(node)]

    def _offers(self, node: slicer.vtkMRMLNode) -> bool:
        if node.GetHideFromEditors() and not self._flags["showHidden"]:
            return False
        matches = node.IsA if self._flags["showChildNodeTypes"] else node.GetClassName().__eq__
        if not any(matches(kind) for kind in self._node_types):
            return False
        wanted = [(name, value) for kind, name, value in self._attributes if node.IsA(kind)]
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name)) for name, value in wanted
        )

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int) -> slicer.vtkMRMLNode:
        return self._nodes()[index]

    def _get_node_types(self) -> tuple[str, ...]:
        return tuple(self._node_types)  # PythonQt gives lists of text as tuples

    def setNodeTypes(self, types: list[str]) -> None:
        self._node_types = list(types)
        self._refresh()

    nodeTypes = Property("QStringList", _get_node_types, setNodeTypes)

    def _refresh(self) -> None:
        raise NotImplementedError


def _remove_observers(observed: list[tuple[vtk.vtkObject, int]]) -> None:
    for subject, tag in observed:
        subject.RemoveObserver(tag)
    observed.clear()


def _flag(name: str) -> Property:
    """A bool property of a node selector that decides what it offers."""

    def write(self: _NodeList, value: bool) -> None:
        self._flags[name] = value
        self._refresh()

    return Property(bool, lambda self: self._flags[name], write)


class qMRMLNodeComboBox(_NodeList):
    """Chooses one node, or None where ``noneEnabled``; can create, rename and delete nodes."""

    cpp_signals = (
        *qMRMLWidget.cpp_signals,
        "currentNodeChanged(vtkMRMLNode*)",
        "currentNodeChanged(bool)",
        "nodeAddedByUser(vtkMRMLNode*)",
    )
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox(self)
        self._current_id = ""
        self._base_name = ""
        self._none_display = "None"
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        self._combo.activated.connect(self._on_activated)

    noneEnabled = _flag("noneEnabled")
    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    renameEnabled = _flag("renameEnabled")
    editEnabled = _flag("editEnabled")
    showHidden = _flag("showHidden")
    showChildNodeTypes = _flag("showChildNodeTypes")
    selectNodeUponCreation = _flag("selectNodeUponCreation")

    def _get_base_name(self) -> str:
        return self._base_name

    def setBaseName(self, name: str) -> None:
        self._base_name = name

    def _get_none_display(self) -> str:
        return self._none_display

    def setNoneDisplay(self, text: str) -> None:
        self._none_display = text
        self._refresh()

    baseName = Property(str, _get_base_name, setBaseName)
    noneDisplay = Property(str, _get_none_display, setNoneDisplay)

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._scene.GetNodeByID(self._current_id) if self._scene and self._current_id else None

    def setCurrentNode(self, node: slicer.vtkMRMLNode | str | None) -> None:
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node else "")

    def setCurrentNodeID(self, identifier: str) -> None:
        """Choose a node; one that is not offered counts as None."""
        self._refresh(identifier or "")

    def _get_current_id(self) -> str:
        return self._current_id

    currentNodeID = Property(str, _get_current_id, setCurrentNodeID)

    def addNode(self, nodeType: str = "") -> slicer.vtkMRMLNode:
        """Create a node of the first (or the named) type in the scene, as the menu entry does."""
        name = self._base_name or slicer.vtkMRMLScene.GetTagByClassName(self._scene, nodeType or self._node_types[0])
        node = self._scene.AddNewNodeByClass(nodeType or self._node_types[0], self._scene.GenerateUniqueName(name))
        for kind, attribute, value in self._attributes:
            if node.IsA(kind):
                node.SetAttribute(attribute, value or "")
        if self._flags["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _refresh(self, identifier: str | None = None) -> None:
        wanted = self._current_id if identifier is None else identifier
        nodes = self._nodes()
        offered = [node.GetID() for node in nodes]
        if wanted not in offered:
            wanted = ""  # also without noneEnabled: Slicer chooses no node by itself
        self._fill(nodes)
        self._combo.setCurrentIndex(self._combo.findData(wanted) if wanted or self._flags["noneEnabled"] else -1)
        if wanted != self._current_id:
            self._current_id = wanted
            self.currentNodeIDChanged.emit(wanted)
            self.currentNodeChanged.emit(self.currentNode())

    def _fill(self, nodes: list[slicer.vtkMRMLNode]) -> None:
        self._combo.clear()
        if self._flags["noneEnabled"]:
            self._combo.addItem(self._none_display, "")
        for node in nodes:
            self._combo.addItem(node.GetName(), node.GetID())
        if self._flags["addEnabled"]:
            for kind in self._node_types:
                self._combo.addItem(f"Create new {kind.removeprefix('vtkMRML').removesuffix('Node')}", f"+{kind}")
        if self._flags["removeEnabled"] and self._current_id:
            self._combo.addItem("Delete current node", "-")

    def _on_activated(self, index: int) -> None:
        data = self._combo.itemData(index)
        if data.startswith("+"):
            self.addNode(data[1:])
        elif data == "-":
            self._scene.RemoveNode(self.currentNode())
        else:
            self.setCurrentNodeID(data)


class qMRMLCheckableNodeComboBox(_NodeList):
    """Chooses any number of nodes."""

    cpp_signals = (*qMRMLWidget.cpp_signals, "checkedNodesChanged()")
    checkedNodesChanged = Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = QtWidgets.QListWidget(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._list)
        self._list.itemChanged.connect(lambda _item: self.checkedNodesChanged.emit())

    noneEnabled = _flag("noneEnabled")
    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    showHidden = _flag("showHidden")
    showChildNodeTypes = _flag("showChildNodeTypes")

    def checkState(self, node: slicer.vtkMRMLNode) -> QtCore.Qt.CheckState:
        return self._states().get(node.GetID(), QtCore.Qt.Unchecked)

    def setCheckState(self, node: slicer.vtkMRMLNode, state: QtCore.Qt.CheckState) -> None:
        for item in self._items():
            if item.data(QtCore.Qt.UserRole) == node.GetID():
                item.setCheckState(QtCore.Qt.CheckState(state))

    def checkedNodes(self) -> list[slicer.vtkMRMLNode]:
        return [node for node in self._nodes() if self.checkState(node) == QtCore.Qt.Checked]

    def uncheckedNodes(self) -> list[slicer.vtkMRMLNode]:
        return [node for node in self._nodes() if self.checkState(node) != QtCore.Qt.Checked]

    def _items(self) -> list[QtWidgets.QListWidgetItem]:
        return [self._list.item(row) for row in range(self._list.count)]

    def _states(self) -> dict[str, QtCore.Qt.CheckState]:
        return {item.data(QtCore.Qt.UserRole): item.checkState() for item in self._items()}

    def _refresh(self) -> None:
        before = self._states()
        blocker = QtCore.QSignalBlocker(self._list)
        self._list.clear()
        for node in self._nodes():
            item = QtWidgets.QListWidgetItem(node.GetName(), self._list)
            item.setData(QtCore.Qt.UserRole, node.GetID())
            item.setCheckState(before.get(node.GetID(), QtCore.Qt.Unchecked))
        blocker.unblock()
        if set(before) - set(self._states()):
            self.checkedNodesChanged.emit()
