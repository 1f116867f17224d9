"""Qt answers as PythonQt does."""

from __future__ import annotations

import pytest


def test_properties_are_attributes_and_setters_work_beside_them(host):
    import qt

    box = qt.QSpinBox()
    box.maximum = 500
    box.value = 200
    assert box.value == 200
    box.setValue(300)
    assert box.value == 300
    check = qt.QCheckBox("a")
    check.setChecked(True)
    assert check.checked is True
    assert check.text == "a"
    check.enabled = False
    assert check.enabled is False


@pytest.mark.parametrize("way", ["by signature", "by attribute"])
def test_a_signal_connects_both_ways(host, way):
    import qt

    seen = []

    def note(checked):
        seen.append(checked)

    button = qt.QPushButton()
    if way == "by signature":
        button.connect("clicked(bool)", note)
    else:
        button.clicked.connect(note)
    button.click()
    assert seen == [False]


def test_a_disconnected_function_is_not_called(host):
    import qt

    seen = []
    button = qt.QPushButton()
    button.connect("clicked(bool)", seen.append)
    button.disconnect("clicked(bool)", seen.append)
    button.click()
    assert seen == []


def test_the_signature_decides_which_arguments_come(host):
    import qt

    seen = []

    def note(checked="nothing"):
        seen.append(checked)

    button = qt.QPushButton()
    button.connect("clicked()", note)
    button.click()
    assert seen == ["nothing"]


def test_a_signal_that_cpp_has_not_is_refused(host):
    import qt

    with pytest.raises(ValueError, match="no signal pressedHard"):
        qt.QPushButton().connect("pressedHard(bool)", print)


def test_a_misspelt_property_is_refused(host):
    import qt

    with pytest.raises(AttributeError, match="chekced"):
        qt.QCheckBox().chekced = True


def test_a_read_only_property_is_refused(host):
    import qt

    with pytest.raises(AttributeError, match="read-only"):
        qt.QWidget().width = 3


def test_a_class_written_in_python_takes_new_attributes(host):
    import qt

    class Panel(qt.QWidget):
        pass

    panel = Panel()
    panel.state = "idle"
    assert panel.state == "idle"


def test_an_exception_in_a_slot_is_noted(host):
    import qt

    def fail():
        raise RuntimeError("from the slot")

    button = qt.QPushButton()
    button.connect("clicked()", fail)
    button.click()
    assert "from the slot" in host.errors.pop()
