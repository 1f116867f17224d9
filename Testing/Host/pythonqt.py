"""Make PySide6 answer the way PythonQt does inside Slicer.

Under PythonQt a Qt property is an attribute (``box.checked = True``), a signal connects by its C++ signature
(``button.connect("clicked(bool)", f)``), and a misspelt attribute is refused. Plain PySide6 has methods instead
(``box.isChecked()``), no such ``connect``, and keeps ``box.cheked = True`` without a word. The three functions
below change PySide6's own classes once for the process; setters (``setChecked``) keep working, as in PythonQt.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator

from PySide6 import QtCore, QtGui, QtNetwork, QtWidgets

_MODULES = (QtCore, QtGui, QtNetwork, QtWidgets)
_read = QtCore.QObject.property
_write = QtCore.QObject.setProperty
_connect = QtCore.QObject.connect
_disconnect = QtCore.QObject.disconnect


class QtProperty:
    """A Qt property as a Python attribute; on the class itself, whatever PySide6 had under that name."""

    def __init__(self, name: str, writable: bool, original: object) -> None:
        self.name = name
        self.writable = writable
        self.original = original

    def __get__(self, instance: QtCore.QObject | None, owner: type | None = None) -> object:
        if instance is None:
            return self if self.original is None else self.original
        return _read(instance, self.name)

    def __set__(self, instance: QtCore.QObject, value: object) -> None:
        if not self.writable:
            raise AttributeError(f"property {self.name!r} of {type(instance).__name__} is read-only")
        setter = getattr(instance, f"set{self.name[0].upper()}{self.name[1:]}", None)
        if setter is not None:
            setter(value)
        elif not _write(instance, self.name, value):
            raise TypeError(f"property {self.name!r} of {type(instance).__name__} does not take {value!r}")


def make_pythonqt_like() -> types.ModuleType:
    """Change PySide6's classes for this process and return the flat ``qt`` module that Slicer code imports."""
    for cls in _qobject_classes():
        _install_properties(cls)
        cls.__setattr__ = _set_attribute
        cls.__delattr__ = _delete_attribute
        if "__getattribute__" in vars(cls):
            cls.__getattribute__ = _with_connect(cls.__getattribute__)
    QtCore.QObject.name = QtProperty("objectName", writable=True, original=None)
    QtCore.QObject.className = lambda self: self.metaObject().className()
    module = types.ModuleType("qt", __doc__)
    for source in _MODULES:
        vars(module).update({name: getattr(source, name) for name in dir(source) if not name.startswith("_")})
    return module


def connect(sender: QtCore.QObject, signature: str, function: Callable, *others: object) -> object:
    """PythonQt's ``sender.connect("clicked(bool)", function)``; raises ValueError for a signal C++ has not."""
    if others:  # PySide6 itself calls connect(sender, signal, function), for instance in QTimer.singleShot
        return _connect(signature, function, *others)
    wanted = _known_signal(sender, signature)
    # PySide6 lets the object of a connected method go; PythonQt keeps it as long as the sender lives.
    _slots(sender).append((wanted, function))
    if wanted in getattr(sender, "cpp_signals", ()):
        getattr(sender, wanted.partition("(")[0]).connect(function)
        return True
    return bool(_connect(sender, QtCore.SIGNAL(wanted), function))


def disconnect(sender: QtCore.QObject, signature: str, function: Callable) -> bool:
    """PythonQt's ``sender.disconnect("clicked(bool)", function)``."""
    wanted = _known_signal(sender, signature)
    if (wanted, function) in _slots(sender):
        _slots(sender).remove((wanted, function))
    if wanted in getattr(sender, "cpp_signals", ()):
        return bool(getattr(sender, wanted.partition("(")[0]).disconnect(function))
    return bool(_disconnect(sender, QtCore.SIGNAL(wanted), function))


def _slots(sender: QtCore.QObject) -> list[tuple[str, Callable]]:
    return vars(sender).setdefault("_connected", [])


def _known_signal(sender: QtCore.QObject, signature: str) -> str:
    wanted = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
    # Stand-ins for C++ widgets list the signatures whose argument types only C++ knows.
    if wanted not in getattr(sender, "cpp_signals", ()) and sender.metaObject().indexOfSignal(wanted) < 0:
        raise ValueError(f"{type(sender).__name__} has no signal {signature}")
    return wanted


def _with_connect(original: Callable) -> Callable:
    """PySide6 answers ``instance.connect`` in C, so the only way in is attribute access itself."""
    by_name = {"connect": connect, "disconnect": disconnect}

    def get_attribute(self: QtCore.QObject, name: str) -> object:
        return types.MethodType(by_name[name], self) if name in by_name else original(self, name)

    return get_attribute


def _qobject_classes() -> Iterator[type]:
    for module in _MODULES:
        for name in dir(module):  # not vars(module): PySide6 makes its classes when they are first asked for
            value = getattr(module, name)
            if isinstance(value, type) and issubclass(value, QtCore.QObject):
                yield value


def _install_properties(cls: type) -> None:
    meta = cls.staticMetaObject
    for index in range(meta.propertyCount()):
        declared = meta.property(index)
        name, original = declared.name(), getattr(cls, declared.name(), None)
        inherited = index < meta.propertyOffset() and name not in vars(cls)
        if not inherited and not isinstance(original, QtProperty):
            setattr(cls, name, QtProperty(name, declared.isWritable(), original))


def _set_attribute(self: QtCore.QObject, name: str, value: object) -> None:
    """Refuses what C++ has not; attributes of classes written in Python stay free, as in PythonQt."""
    kind = type(self)
    cpp = kind.__module__.startswith("PySide6.") or (getattr(kind, "stands_for_cpp", False) and name[0] != "_")
    known = getattr(kind, name, None)
    from_ui_loader = isinstance(value, QtCore.QObject) and value.objectName == name
    if cpp and known is None and not hasattr(kind, name) and not from_ui_loader:
        raise AttributeError(f"{kind.__name__} has no property {name!r}, and C++ objects take no new attributes")
    if isinstance(known, QtCore.Property):
        known.fset(self, value)
    else:
        _plain_set_attribute(self, name, value)


def _delete_attribute(self: QtCore.QObject, name: str) -> None:
    _plain_delete_attribute(self, name)


_plain_set_attribute = QtCore.QObject.__mro__[-2].__setattr__
_plain_delete_attribute = QtCore.QObject.__mro__[-2].__delattr__
