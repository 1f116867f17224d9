"""One volume selector per channel of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt
import slicer

from ..panel import plainText, plainToolTip

Volume = slicer.vtkMRMLScalarVolumeNode
WIDEST_LABEL = 130
"""Pixels; the label would widen Slicer's whole module panel."""


class ChannelSelectors:
    """Rows of a form layout from `firstRow` on, remade when the channels' names change.

    `onChosen(volumes)` tells what the user chose.
    """

    def __init__(self, layout: qt.QFormLayout, firstRow: int, onChosen: Callable[[list[Volume | None]], None]) -> None:
        self._layout = layout
        self._firstRow = firstRow
        self._onChosen = onChosen
        self._names: tuple[str, ...] = ()
        self._selectors: list[slicer.qMRMLNodeComboBox] = []
        self._showing = False

    def show(self, names: Sequence[str], volumes: Sequence[Volume | None]) -> None:
        """Show a selector for each name, with the given volumes chosen."""
        self._showing = True
        try:
            if tuple(names) != self._names:
                self._remake(tuple(names))
            for index, selector in enumerate(self._selectors):
                volume = volumes[index] if index < len(volumes) else None
                if selector.currentNode() is not volume:
                    selector.setCurrentNode(volume)
        finally:
            self._showing = False

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        for selector in self._selectors:
            selector.setMRMLScene(scene)

    def _remake(self, names: tuple[str, ...]) -> None:
        for _name in self._names:
            self._layout.removeRow(self._firstRow)
        self._names = names
        self._selectors = [self._newSelector(name) for name in names]
        for offset, (name, selector) in enumerate(zip(names, self._selectors, strict=True)):
            self._layout.insertRow(self._firstRow + offset, _plainLabel(f"{name}:"), selector)

    def _newSelector(self, name: str) -> slicer.qMRMLNodeComboBox:
        selector = slicer.qMRMLNodeComboBox()
        selector.objectName = f"channelSelector_{name}"
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.showChildNodeTypes = False
        selector.noneEnabled = True
        selector.addEnabled = False
        selector.removeEnabled = False
        # A long name of a volume must not widen Slicer's whole module panel.
        selector.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        selector.setMRMLScene(slicer.mrmlScene)
        selector.connect("currentNodeChanged(vtkMRMLNode*)", self._onNodeChanged)
        return selector

    def _onNodeChanged(self, _node: slicer.vtkMRMLNode | None) -> None:
        if not self._showing:
            self._onChosen([selector.currentNode() for selector in self._selectors])


def _plainLabel(text: str) -> qt.QLabel:
    # A channel's name may come from anybody, and Qt takes what looks like HTML for HTML.
    label = qt.QLabel()
    label.textFormat = qt.Qt.PlainText
    label.text = label.fontMetrics().elidedText(plainText(text), qt.Qt.ElideMiddle, WIDEST_LABEL)
    label.toolTip = plainToolTip(text)
    return label
