"""What the panel shows is a function of what is chosen and what runs."""

from __future__ import annotations

import pytest

from SegAutoPlanLib.runs import RunState


@pytest.fixture
def view_of(module):
    return module.segment_view.viewOf


def test_without_a_problem_segment_can_be_pressed(view_of):
    view = view_of(None, None)
    assert (view.buttonText, view.buttonEnabled, view.progressVisible, view.status) == ("Segment", True, False, "")


def test_a_problem_disables_the_button_and_is_its_tooltip(view_of):
    view = view_of("Choose the folder of a trained model.", None)
    assert not view.buttonEnabled
    assert view.buttonToolTip == "Choose the folder of a trained model."


def test_a_running_segmentation_can_be_cancelled_and_says_how_long_it_takes(view_of):
    state = RunState("running", stage="tiles", done=3, total=12, unit="tile", eta_s=200.0)
    view = view_of("the model folder is gone by now", state)
    assert (view.buttonText, view.buttonEnabled) == ("Cancel", True)
    assert (view.progressVisible, view.progressDone, view.progressTotal) == (True, 3, 12)
    assert view.status == "Tiles: 3 / 12"
    assert view.progressText == "%p%  3 min 20 s left"


def test_before_the_first_progress_the_bar_only_moves(view_of):
    view = view_of(None, RunState("starting"))
    assert (view.progressVisible, view.progressTotal, view.status) == (True, 0, "Starting...")


def test_a_stage_without_a_pace_does_not_invent_a_time(view_of):
    view = view_of(None, RunState("running", stage="tiles", done=0, total=12, unit="tile"))
    assert view.progressText == "%p%  estimating the time..."


def test_while_it_stops_it_can_be_ended_at_once(view_of):
    view = view_of(None, RunState("stopping", stage="tiles", done=3, total=12, unit="tile"))
    assert (view.buttonText, view.status) == ("Stop now", "Stopping...")


@pytest.mark.parametrize(
    ("state", "result_waits", "status"),
    [
        (RunState("finished"), False, "Finished."),
        (RunState("finished"), True, 'Finished. The result waits under "Runs".'),
        (RunState("stopped", message="stopped after 3 of 12 tiles"), False, "Cancelled."),
        (RunState("stopped", message="It was stopped before it could say how far it was."), False, "Cancelled."),
        (
            RunState("lost", message="/runs/x: the process ended without a word.", hint="The log may say why."),
            False,
            "/runs/x: the process ended without a word. The log may say why.",
        ),
        (
            RunState("failed", message="x.nii.gz: is damaged.", hint="Copy it again."),
            False,
            "x.nii.gz: is damaged. Copy it again.",
        ),
        (RunState("failed"), False, "It failed; the log tells more."),
    ],
)
def test_how_it_ended_is_said_and_segment_can_be_pressed_again(view_of, state, result_waits, status):
    view = view_of(None, state, result_waits)
    assert view.status == status
    assert (view.buttonText, view.buttonEnabled, view.progressVisible) == ("Segment", True, False)
