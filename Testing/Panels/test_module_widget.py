"""The module's widget tells every panel the same things at the same moments, whatever panels there are."""

from __future__ import annotations

import importlib

import pytest

CALLS = ("setParameters", "refresh", "enter", "exit", "release")


@pytest.fixture
def widget(host, module):
    host.slicer.util.reloadScriptedModule("SegAutoPlan")
    widget = host.load_module("SegAutoPlan")
    widget.enter()
    yield widget
    widget.cleanup()


@pytest.fixture
def heard(widget, monkeypatch):
    """What each panel was told since, in order."""
    told = {type(panel).__name__: [] for panel in widget.panels}

    def telling(name: str, call: str, own):
        def tell(*given):
            told[name].append((call, *given))
            own(*given)

        return tell

    for panel in widget.panels:
        for call in CALLS:
            monkeypatch.setattr(panel, call, telling(type(panel).__name__, call, getattr(panel, call)))
    return told


def everywhere(heard, *expected) -> bool:
    """Whether these calls came to every panel in this order (others may lie between)."""

    def among(calls) -> bool:
        rest = iter(calls)
        return all(any(call == wanted for call in rest) for wanted in expected)

    return all(among(calls) for calls in heard.values())


def test_every_panel_keeps_the_protocol(widget):
    protocol = importlib.import_module("SegAutoPlanUI.panels.panel").Panel
    assert len(widget.panels) > 1
    assert [type(panel).__name__ for panel in widget.panels if not isinstance(panel, protocol)] == []


def test_the_panels_are_below_each_other_in_their_order(widget):
    # Not by itemAt: PySide6 goes on knowing a layout's item after it is deleted, and then finds it in what comes there.
    places = [widget.layout.indexOf(panel.widget) for panel in widget.panels]
    assert places == sorted(places)
    assert -1 not in places


def test_entering_gives_the_parameters_before_anything_starts_to_watch(widget, heard):
    widget.exit()
    widget.enter()
    assert everywhere(heard, ("exit",), ("setParameters", widget._parameterNode), ("enter",))


def test_a_change_of_the_parameters_reaches_every_panel(widget, heard):
    widget._parameterNode.modelFolder = "/somewhere"
    assert everywhere(heard, ("refresh",))


def test_while_another_module_is_shown_no_panel_hears_of_changes(widget, heard):
    widget.exit()
    for calls in heard.values():
        calls.clear()
    widget._parameterNode.modelFolder = "/somewhere else"
    assert not any(heard.values())


def test_closing_a_scene_takes_the_parameters_away_and_gives_the_next_ones(host, widget, heard):
    host.close_scene()
    assert everywhere(heard, ("setParameters", None), ("setParameters", widget._parameterNode))


def test_cleanup_releases_every_panel_last_and_once(widget, heard):
    widget.cleanup()
    assert widget.panels == ()
    assert {tuple(calls[-1]) for calls in heard.values()} == {("release",)}
    assert all(calls.count(("release",)) == 1 for calls in heard.values())
