"""The CTK widgets that our .ui files use, with CTK's property and signal names. Add one when a panel needs it."""

from __future__ import annotations

import types

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal


class ctkCheckBox(QtWidgets.QCheckBox):
    stands_for_cpp = True


class ctkComboBox(QtWidgets.QComboBox):
    stands_for_cpp = True


class ctkPushButton(QtWidgets.QPushButton):
    stands_for_cpp = True


class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    stands_for_cpp = True


class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    stands_for_cpp = True


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A titled section; its children lie in its own layout, below a header that folds them away."""

    stands_for_cpp = True
    contentsCollapsed = Signal(bool)

    def __init__(self, title: str | QtWidgets.QWidget | None = None, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent if isinstance(title, str) else title)
        self._text = title if isinstance(title, str) else ""
        self._collapsed = False
        self._folded_away: list[QtWidgets.QWidget] = []
        self.setContentsMargins(0, self._header_height(), 0, 0)

    def _header_height(self) -> int:
        return self.fontMetrics().height() + 8

    def _get_text(self) -> str:
        return self._text

    def setText(self, text: str) -> None:
        self._text = text
        self.update()

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        if collapsed:
            self._fold()
        else:
            for child in self._folded_away:
                child.setVisible(True)
            self._folded_away.clear()
        self.contentsCollapsed.emit(collapsed)

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        """Children that a .ui file adds after it set ``collapsed`` fold too."""
        if self._collapsed:
            self._fold()

    def _fold(self) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            if not child.isHidden():
                self._folded_away.append(child)
                child.setVisible(False)

    text = Property(str, _get_text, setText)
    collapsed = Property(bool, _get_collapsed, setCollapsed)

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        if event.position().y() < self._header_height():
            self.setCollapsed(not self._collapsed)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        header = QtCore.QRect(0, 0, self.width, self._header_height())
        painter.fillRect(header.adjusted(0, 0, 0, -2), self.palette.color(QtGui.QPalette.Midlight))
        arrow = "▸" if self._collapsed else "▾"
        painter.drawText(header.adjusted(6, 0, 0, -2), QtCore.Qt.AlignVCenter, f"{arrow} {self._text}")


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path with a Browse button. ``filters`` holds CTK's flag names' values; nothing is checked on disk."""

    stands_for_cpp = True
    currentPathChanged = Signal(str)

    Dirs, Files, Drives, NoSymLinks, Readable, Writable, Executable, Hidden = 1, 2, 4, 8, 16, 32, 64, 256

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QtWidgets.QLineEdit(self)
        self._browse = QtWidgets.QToolButton(self)
        self._browse.setText("…")
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._line)
        row.addWidget(self._browse)
        self._line.textChanged.connect(self.currentPathChanged)
        self._browse.clicked.connect(self.browse)
        self.filters = self.Files
        self._name_filters: list[str] = []
        self._setting_key = ""

    filters = 0

    def _get_path(self) -> str:
        return self._line.text

    def setCurrentPath(self, path: str) -> None:
        self._line.setText(path)

    def _get_name_filters(self) -> tuple[str, ...]:
        return tuple(self._name_filters)  # PythonQt gives lists of text as tuples

    def setNameFilters(self, filters: list[str]) -> None:
        self._name_filters = list(filters)

    def _get_setting_key(self) -> str:
        return self._setting_key

    def setSettingKey(self, key: str) -> None:
        self._setting_key = key

    def addCurrentPathToHistory(self) -> None:
        """Keep the path in the settings under ``settingKey``; CTK offers it again next time."""
        if self._setting_key:
            settings = QtCore.QSettings()
            history = [self._line.text, *(settings.value(self._setting_key) or [])]
            settings.setValue(self._setting_key, list(dict.fromkeys(history))[:10])

    def browse(self) -> None:
        if self.filters & self.Dirs and not self.filters & self.Files:
            path = QtWidgets.QFileDialog.getExistingDirectory(self, "Select a folder", self._line.text)
        else:
            filters = ";;".join(self._name_filters)
            path, _ = QtWidgets.QFileDialog.getOpenFileName(self, "Select a file", self._line.text, filters)
        if path:
            self._line.setText(path)

    currentPath = Property(str, _get_path, setCurrentPath)
    nameFilters = Property("QStringList", _get_name_filters, setNameFilters)
    settingKey = Property(str, _get_setting_key, setSettingKey)


class ctkDirectoryButton(QtWidgets.QPushButton):
    """A button that shows a folder and asks for another one."""

    stands_for_cpp = True
    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._directory = "."
        self._caption = ""
        self.setText(QtCore.QDir(".").absolutePath())
        self.clicked.connect(self.browse)

    def _get_directory(self) -> str:
        return self._directory

    def setDirectory(self, directory: str) -> None:
        """Set the folder; as in CTK it becomes absolute, and two names of one folder are no change."""
        if QtCore.QDir(directory) != QtCore.QDir(self._directory):
            self._directory = QtCore.QDir(directory).absolutePath()
            self.setText(self._directory)
            self.directoryChanged.emit(self._directory)

    def _get_caption(self) -> str:
        return self._caption

    def setCaption(self, caption: str) -> None:
        self._caption = caption

    def browse(self) -> None:
        directory = QtWidgets.QFileDialog.getExistingDirectory(self, self._caption, self._directory)
        if directory:
            self.setDirectory(directory)
            self.directorySelected.emit(directory)

    directory = Property(str, _get_directory, setDirectory)
    caption = Property(str, _get_caption, setCaption)


def _of_spin_box(kind: type, name: str) -> Property:
    """A property of ctkSliderWidget that is really its spin box's."""
    return Property(kind, lambda self: getattr(self._spin, name), lambda self, value: setattr(self._spin, name, value))


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box that share one value."""

    stands_for_cpp = True
    valueChanged = Signal(float)

    _STEPS = 1000

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._slider.setRange(0, self._STEPS)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        row.addWidget(self._spin)
        self._slider.sliderMoved.connect(self._slider_moved)
        self._spin.valueChanged.connect(self._spin_changed)

    def _slider_moved(self, step: int) -> None:
        low, high = self._spin.minimum, self._spin.maximum
        self._spin.setValue(low + step / self._STEPS * (high - low))

    def _spin_changed(self, value: float) -> None:
        low, high = self._spin.minimum, self._spin.maximum
        self._slider.setValue(round((value - low) / (high - low) * self._STEPS) if high > low else 0)
        self.valueChanged.emit(value)

    value = _of_spin_box(float, "value")
    minimum = _of_spin_box(float, "minimum")
    maximum = _of_spin_box(float, "maximum")
    singleStep = _of_spin_box(float, "singleStep")
    decimals = _of_spin_box(int, "decimals")
    prefix = _of_spin_box(str, "prefix")
    suffix = _of_spin_box(str, "suffix")


def absent(module: str, name: str) -> type:
    """A class that can be named (Slicer's own files compare types with it) but not made."""

    def refuse(self: object, *_: object) -> None:
        raise NotImplementedError(f"the test host has no {module}.{name}; add it under Testing/Host")

    return type(name, (QtWidgets.QWidget,), {"__init__": refuse, "stands_for_cpp": True})


def ctk_module() -> types.ModuleType:
    """The ``ctk`` module: the widgets above, and names that cannot be instantiated for the rest."""
    module = types.ModuleType("ctk", __doc__)
    vars(module).update({name: value for name, value in globals().items() if name.startswith("ctk")})

    def missing(name: str) -> type:
        if not name.startswith("ctk"):
            raise AttributeError(f"module 'ctk' has no attribute {name!r}")
        setattr(module, name, absent("ctk", name))
        return getattr(module, name)

    module.__getattr__ = missing
    return module
