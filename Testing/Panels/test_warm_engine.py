"""Slicer keeps one process of the engine ready from one segmentation to the next."""

from __future__ import annotations

import importlib
import os
import signal
import sys

import pytest


@pytest.fixture
def logic(module, engine):
    return module.SegAutoPlan.SegAutoPlanLogic()


@pytest.fixture
def warm(module):
    return module.warm_engine.warmEngine()


@pytest.fixture
def setting(host):
    """Sets for how many seconds an engine is kept."""
    import qt

    name = "SegAutoPlan/keepEngineSeconds"
    yield lambda value: qt.QSettings().setValue(name, value)
    qt.QSettings().remove(name)


def workerOf(logic, run) -> int:
    state = logic.waitFor(run, 30)
    assert state.status == "finished", (state, run.log_tail())
    return run.description().worker.pid


def test_another_volume_and_another_model_are_segmented_by_the_same_process(logic, warm, write_model, add_volume):
    first = workerOf(logic, logic.segment([add_volume("a")], write_model()))
    second = workerOf(logic, logic.segment([add_volume("b")], write_model(name="other")))
    assert first == second == warm.pid


def test_every_logic_shares_it(module, engine, warm, write_model, add_volume):
    model, volume = write_model(), add_volume()
    logics = [module.SegAutoPlan.SegAutoPlanLogic() for _ in range(2)]
    assert {workerOf(logic, logic.segment([volume], model)) for logic in logics} == {warm.pid}


def test_it_goes_on_request(logic, warm, write_model, add_volume):
    model, volume = write_model(), add_volume()
    first = workerOf(logic, logic.segment([volume], model))
    logic.releaseEngine()
    assert warm.pid is None
    assert workerOf(logic, logic.segment([volume], model)) != first


def test_it_goes_after_the_time_that_is_set(host, logic, warm, setting, write_model, add_volume):
    setting("0.3")
    workerOf(logic, logic.segment([add_volume()], write_model()))
    assert warm.pid is not None
    host.process_events(until=lambda: warm.pid is None)


def test_with_the_setting_zero_a_segmentation_has_a_process_of_its_own(logic, warm, setting, write_model, add_volume):
    setting("0")
    run = logic.segment([add_volume()], write_model())
    workerOf(logic, run)
    assert warm.pid is None
    assert not warm.isBusy


def test_a_setting_that_is_no_number_is_the_usual_time(module, setting):
    setting("for ever")
    assert module.warm_engine.keepEngineSeconds() == 600


def test_a_second_segmentation_waits_and_can_be_cancelled_alone(host, logic, engine, warm, write_model, add_volume):
    gate = engine("wait")
    model, volume, told = write_model(), add_volume(), []
    first = logic.segment([volume], model)
    second = logic.segment([volume], model, onFinished=lambda *outcome: told.append(outcome))
    host.process_events(until=lambda: first.state().status == "running")
    assert second.state().status == "starting"
    second.request_stop()
    assert logic.waitFor(second, 30).status == "stopped"
    assert told == [(None, "Cancelled.")]
    gate.touch()
    assert workerOf(logic, first) == warm.pid


def test_a_cancelled_segmentation_leaves_it_ready(host, logic, engine, warm, write_model, add_volume):
    gate = engine("wait")
    model, volume = write_model(), add_volume()
    run = logic.segment([volume], model)
    host.process_events(until=lambda: run.state().status == "running")
    pid = warm.pid
    run.request_stop()
    assert logic.waitFor(run, 30).status == "stopped"
    gate.touch()
    assert workerOf(logic, logic.segment([volume], model)) == pid


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: it has no SIGKILL")
def test_one_that_was_killed_is_told_and_replaced(logic, engine, host, warm, write_model, add_volume):
    gate = engine("wait")
    model, volume, told = write_model(), add_volume(), []
    run = logic.segment([volume], model, onFinished=lambda *outcome: told.append(outcome))
    host.process_events(until=lambda: run.state().status == "running")
    pid = warm.pid
    os.kill(pid, signal.SIGKILL)
    assert logic.waitFor(run, 30).status == "lost"
    assert "the process ended without a word" in told[0][1]
    gate.touch()
    assert workerOf(logic, logic.segment([volume], model)) != pid


@pytest.fixture
def reloaded(host, monkeypatch):
    """Reloads the module as the button of that name does; the next test has the modules of before."""
    before = dict(sys.modules)
    ours = ("SegAutoPlanLib", "SegAutoPlanUI", "SegAutoPlan")

    def reload(module):
        host.load_module("SegAutoPlan").onReload()
        parts = importlib.import_module("SegAutoPlanUI.engine.engine_process")
        assert parts is not module.engine_process
        monkeypatch.setattr(parts, "enginePython", module.engine_process.enginePython)
        return sys.modules["SegAutoPlan"]

    yield reload
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[name]
    sys.modules.update(before)


def test_after_a_reload_the_segmentation_goes_on_and_the_process_is_still_the_one(
    host, module, logic, engine, write_model, add_volume, reloaded
):
    gate = engine("wait")
    model, volume = write_model(), add_volume()
    run = logic.segment([volume], model)
    host.process_events(until=lambda: run.state().status == "running")
    pid = module.warm_engine.warmEngine().pid
    logic = reloaded(module).SegAutoPlanLogic()
    second = logic.segment([volume], model)
    assert second.state().status == "starting"
    gate.touch()
    assert workerOf(logic, run) == workerOf(logic, second) == pid
    # Nothing more to do for the former code: it lets its process go.
    warmEngine = sys.modules["SegAutoPlanUI.engine.warm_engine"].warmEngine
    host.process_events(until=lambda: warmEngine().pid is None)
