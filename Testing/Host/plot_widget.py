"""``qMRMLPlotWidget``: draws the series of a plot chart node, so that a training curve can be looked at."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .mrml_widgets import qMRMLWidget

_MARGIN = 44


class qMRMLPlotWidget(qMRMLWidget):
    """Shows the chart of ``setMRMLPlotViewNode``'s node; follows the chart, its series and their tables."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._view_node: slicer.vtkMRMLPlotViewNode | None = None
        self._observed: list[tuple[vtk.vtkObject, int]] = []
        self.setMinimumHeight(160)

    def mrmlPlotViewNode(self) -> slicer.vtkMRMLPlotViewNode | None:
        return self._view_node

    def setMRMLPlotViewNode(self, node: slicer.vtkMRMLPlotViewNode | None) -> None:
        self._view_node = node
        self._follow()

    def _chart(self) -> slicer.vtkMRMLPlotChartNode | None:
        return self._view_node.GetPlotChartNode() if self._view_node is not None else None

    def _series(self) -> list[slicer.vtkMRMLPlotSeriesNode]:
        chart = self._chart()
        if chart is None:
            return []
        return [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]

    def _follow(self, *_: object) -> None:
        for subject, tag in self._observed:
            subject.RemoveObserver(tag)
        followed = [self._view_node, self._chart(), *self._series(), *(one.GetTableNode() for one in self._series())]
        modified = vtk.vtkCommand.ModifiedEvent
        self._observed = [(node, node.AddObserver(modified, self._follow)) for node in followed if node is not None]
        self.update()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.Antialiasing)
        frame = QtCore.QRectF(self.rect).adjusted(_MARGIN, 24, -12, -32)
        painter.fillRect(self.rect, QtCore.Qt.white)
        curves = [(one, _points(one)) for one in self._series()]
        points = [point for _, curve in curves for point in curve]
        painter.setPen(QtCore.Qt.darkGray)
        painter.drawRect(frame)
        if points:
            _draw_axes(painter, frame, points, self._chart())
        for row, (one, curve) in enumerate(curves):
            painter.setPen(QtGui.QPen(QtGui.QColor.fromRgbF(*one.GetColor()), max(1.0, one.GetLineWidth())))
            painter.drawPolyline([_place(point, points, frame) for point in curve])
            painter.drawText(frame.adjusted(0, 4 + 16 * row, -6, 0), QtCore.Qt.AlignRight, one.GetName())


def _points(series: slicer.vtkMRMLPlotSeriesNode) -> list[tuple[float, float]]:
    table = series.GetTableNode().GetTable() if series.GetTableNode() is not None else None
    ys = table.GetColumnByName(series.GetYColumnName()) if table is not None else None
    if ys is None:
        return []
    xs = table.GetColumnByName(series.GetXColumnName() or "")
    count = ys.GetNumberOfValues()
    return [(xs.GetValue(i) if xs is not None else float(i), ys.GetValue(i)) for i in range(count)]


def _limits(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _place(point: tuple[float, float], points: list[tuple[float, float]], frame: QtCore.QRectF) -> QtCore.QPointF:
    (x0, x1), (y0, y1) = (_limits([other[axis] for other in points]) for axis in (0, 1))
    across, up = (point[0] - x0) / (x1 - x0), (point[1] - y0) / (y1 - y0)
    return QtCore.QPointF(frame.left() + across * frame.width(), frame.bottom() - up * frame.height())


def _draw_axes(
    painter: QtGui.QPainter,
    frame: QtCore.QRectF,
    points: list[tuple[float, float]],
    chart: slicer.vtkMRMLPlotChartNode,
) -> None:
    (x0, x1), (y0, y1) = (_limits([point[axis] for point in points]) for axis in (0, 1))
    painter.setPen(QtCore.Qt.black)
    below = frame.adjusted(0, frame.height() + 2, 0, 30)
    left = QtCore.QRectF(0, frame.top(), _MARGIN - 4, frame.height())
    align = QtCore.Qt
    painter.drawText(below, align.AlignLeft, f"{x0:.3g}")
    painter.drawText(below, align.AlignRight, f"{x1:.3g}")
    painter.drawText(below, align.AlignHCenter, chart.GetXAxisTitle() or "")
    painter.drawText(left, align.AlignRight | align.AlignTop, f"{y1:.2g}")
    painter.drawText(left, align.AlignRight | align.AlignBottom, f"{y0:.2g}")
    painter.drawText(frame.adjusted(0, -20, 0, 0), align.AlignHCenter, chart.GetTitle() or "")
