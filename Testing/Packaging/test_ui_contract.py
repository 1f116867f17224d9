"""Each panel's .ui file and the code beside it agree on names."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from .update_cmake_lists import REPOSITORY

UI = REPOSITORY / "SegAutoPlan" / "SegAutoPlanUI"
FORMS = sorted((REPOSITORY / "SegAutoPlan").rglob("*.ui"))

TOLD_BY_THE_PANEL = ("segmentButton",)
"""Buttons whose tool tip says why they cannot be pressed."""

every_form = pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)


def form(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()


def widgets(path: Path) -> dict[str, str]:
    """Class of each widget by object name."""
    return {widget.get("name"): widget.get("class") for widget in form(path).iter("widget")}


def names(path: Path) -> set[str]:
    """Of widgets and layouts: what `loadSection` gives as attributes."""
    return set(widgets(path)) | {layout.get("name") for layout in form(path).iter("layout")}


def used_names(path: Path) -> set[str]:
    """What the panel's files take from its form."""
    sources = [source.read_text(encoding="utf-8") for source in path.parent.glob("*.py")]
    return {name for source in sources for name in re.findall(r"\bui\.(\w+)", source)}


def parameter_names() -> set[str]:
    source = (UI / "parameters.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == "SegAutoPlanParameterNode":
            return {line.target.id for line in node.body if isinstance(line, ast.AnnAssign)}
    raise AssertionError("SegAutoPlanParameterNode is gone")


def test_each_panels_folder_holds_one_form_of_its_name_and_there_is_no_other():
    folders = [folder for folder in (UI / "panels").iterdir() if (folder / "__init__.py").is_file()]
    assert len(folders) > 1
    assert sorted(folder / f"{folder.name}.ui" for folder in folders) == FORMS


def test_the_sections_have_different_names():
    sections = [form(path).findtext("class") for path in FORMS]
    assert len(set(sections)) == len(sections)
    assert [form(path).find("widget").get("class") for path in FORMS] == ["qMRMLWidget"] * len(FORMS)


@every_form
def test_every_widget_that_the_code_names_exists(path):
    assert used_names(path)
    assert used_names(path) - names(path) == set()


@every_form
def test_every_widget_that_a_user_can_work_with_is_used(path):
    bound = {widget.get("name") for widget in form(path).iter("widget") if _parameter(widget)}
    working = {
        name
        for name, cls in widgets(path).items()
        if not cls.startswith(("QLabel", "QWidget", "qMRMLWidget", "ctkCollapsibleButton"))
    }
    assert working - used_names(path) - bound == set()


@every_form
def test_every_parameter_that_a_widget_names_exists_and_is_shown_once(path):
    named = [_parameter(widget) for widget in form(path).iter("widget") if _parameter(widget)]
    assert set(named) <= parameter_names()
    assert len(named) == len(set(named))


def test_what_is_bound_in_the_segment_form():
    named = {_parameter(widget) for widget in form(UI / "panels" / "segment" / "segment.ui").iter("widget")} - {None}
    assert named == {"outputSegmentation", "mirroring"}


@every_form
def test_names_are_unique(path):
    found = [widget.get("name") for widget in form(path).iter("widget")]
    assert len(found) == len(set(found))


@every_form
def test_every_node_selector_hears_of_the_scene(path):
    selectors = {name for name, cls in widgets(path).items() if cls == "qMRMLNodeComboBox"}
    connected = {
        connection.findtext("receiver")
        for connection in form(path).iter("connection")
        if connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
        and connection.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
    }
    assert selectors == connected


@every_form
def test_every_class_that_is_not_qts_is_declared(path):
    declared = {custom.findtext("class") for custom in form(path).iter("customwidget")}
    assert {cls for cls in widgets(path).values() if not cls.startswith("Q")} <= declared


@every_form
def test_every_button_and_selector_explains_itself(path):
    silent = [
        widget.get("name")
        for widget in form(path).iter("widget")
        if widget.get("class") in ("QPushButton", "QComboBox", "qMRMLNodeComboBox", "ctkPathLineEdit")
        and not any(p.get("name") == "toolTip" for p in widget.findall("property"))
    ]
    assert [name for name in silent if name not in TOLD_BY_THE_PANEL] == []


def _parameter(widget: ElementTree.Element) -> str | None:
    for declared in widget.findall("property"):
        if declared.get("name") == "SlicerParameterName":
            return declared.findtext("string")
    return None
