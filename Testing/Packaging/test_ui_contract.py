"""The .ui file and the code that uses it agree on names."""

from __future__ import annotations

import ast
import re
from xml.etree import ElementTree

import pytest

from .update_cmake_lists import REPOSITORY

UI_FILE = REPOSITORY / "SegAutoPlan" / "Resources" / "UI" / "SegAutoPlan.ui"
SOURCES = sorted((REPOSITORY / "SegAutoPlan").rglob("*.py"))


@pytest.fixture(scope="module")
def form() -> ElementTree.Element:
    return ElementTree.parse(UI_FILE).getroot()


def widgets(form: ElementTree.Element) -> dict[str, str]:
    """Class of each widget by object name."""
    return {widget.get("name"): widget.get("class") for widget in form.iter("widget")}


def parameter_names() -> set[str]:
    source = (REPOSITORY / "SegAutoPlan" / "SegAutoPlanUI" / "parameters.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == "SegAutoPlanParameterNode":
            return {line.target.id for line in node.body if isinstance(line, ast.AnnAssign)}
    raise AssertionError("SegAutoPlanParameterNode is gone")


def test_every_widget_that_the_code_names_exists(form):
    used = {name for path in SOURCES for name in re.findall(r"(?:\b|_)ui\.(\w+)", path.read_text(encoding="utf-8"))}
    assert used
    assert used - set(widgets(form)) == set()


def test_every_widget_that_a_user_can_work_with_is_used(form):
    used = {name for path in SOURCES for name in re.findall(r"(?:\b|_)ui\.(\w+)", path.read_text(encoding="utf-8"))}
    bound = {widget.get("name") for widget in form.iter("widget") if _parameter(widget)}
    working = {
        name
        for name, cls in widgets(form).items()
        if not cls.startswith(("QLabel", "QWidget", "qMRMLWidget", "ctkCollapsibleButton"))
    }
    assert working - used - bound == set()


def test_every_parameter_that_a_widget_names_exists(form):
    named = {_parameter(widget) for widget in form.iter("widget")} - {None}
    assert named == {"outputSegmentation", "mirroring"}
    assert named <= parameter_names()


def test_names_are_unique(form):
    names = [widget.get("name") for widget in form.iter("widget")]
    assert len(names) == len(set(names))


def test_every_node_selector_hears_of_the_scene(form):
    selectors = {name for name, cls in widgets(form).items() if cls == "qMRMLNodeComboBox"}
    connected = {
        connection.findtext("receiver")
        for connection in form.iter("connection")
        if connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
        and connection.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
    }
    assert selectors == connected


def test_every_class_that_is_not_qts_is_declared(form):
    declared = {custom.findtext("class") for custom in form.iter("customwidget")}
    assert {cls for cls in widgets(form).values() if not cls.startswith("Q")} <= declared


def test_every_button_and_selector_explains_itself(form):
    silent = [
        widget.get("name")
        for widget in form.iter("widget")
        if widget.get("class") in ("QPushButton", "QComboBox", "qMRMLNodeComboBox", "ctkPathLineEdit")
        and not any(p.get("name") == "toolTip" for p in widget.findall("property"))
    ]
    assert silent == ["segmentButton"], "its tooltip says why it cannot be pressed, and is set by the panel"


def _parameter(widget: ElementTree.Element) -> str | None:
    for declared in widget.findall("property"):
        if declared.get("name") == "SlicerParameterName":
            return declared.findtext("string")
    return None
