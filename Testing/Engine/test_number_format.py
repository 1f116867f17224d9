"""The number format of a training is measured once, remembered, kept by what goes on, and harmless to learning."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest
import torch

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import write_json
from SegAutoPlanLib.networks import format_memory, read_checkpoint
from SegAutoPlanLib.networks.casting import candidates
from SegAutoPlanLib.networks.format_memory import machine_and, measure, remember, remembered
from SegAutoPlanLib.number_format import FULL_PRECISION, NumberFormat
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.training import format_choice, state
from SegAutoPlanLib.training.requirements import memory_in_a_sentence

from .balls import NAME, ball_workspace
from .test_channels_last import needs_bfloat16
from .test_training import Recorder, StopInTraining
from .tiny_training import tiny_task, with_recipe

CPU = torch.device("cpu")
BFLOAT16 = NumberFormat("bfloat16", channels_last=True)
CHANNELS_LAST = NumberFormat("float32", channels_last=True)
OPTIONS = TrainOptions(NAME, "3d_fullres", 0, recipe="short", epochs=2, iterations=4, device="cpu", seed=7)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = ball_workspace(tmp_path_factory.mktemp("number formats"))
    preprocess(workspace, PreprocessOptions(NAME))
    return workspace


@pytest.fixture
def memory(workspace):
    file = workspace.preprocessed / NAME / "number_formats.json"
    yield file
    file.unlink(missing_ok=True)


def choose(monkeypatch, number_format: NumberFormat) -> list[tuple[NumberFormat, ...]]:
    """Every training is worth a measurement, and that comes out as given; the list of what was measured."""
    measured = []

    def measure(formats, prepare, _allowed_s):
        measured.append(tuple(formats))
        assert np.isfinite(prepare(number_format)())
        return number_format, dict.fromkeys(formats, 1.0)

    monkeypatch.setattr(format_choice, "WORTH_MEASURING", 1)
    monkeypatch.setattr(format_choice, "measure", measure)
    return measured


def checkpoint(trained):
    return read_checkpoint(trained.checkpoint)


def the_format(trained) -> NumberFormat:
    return NumberFormat(**checkpoint(trained)["segautoplan"]["number_format"])


def weights(trained):
    return checkpoint(trained)["network_weights"]


@needs_bfloat16
def test_the_fastest_is_measured_once_and_remembered(workspace, memory, monkeypatch):
    measured = choose(monkeypatch, BFLOAT16)
    report = Recorder()
    assert the_format(train(workspace, OPTIONS, report)) == BFLOAT16
    assert measured == [candidates(CPU)]
    told = " ".join(event["message"] for event in report.events if event["event"] == "number_format")
    assert "Training computes in 16-bit numbers (bfloat16, channels-last)" in told
    assert the_format(train(workspace, OPTIONS)) == BFLOAT16
    assert len(measured) == 1


def test_another_number_of_threads_is_another_machine(monkeypatch):
    here = machine_and("work", CPU)
    assert here == machine_and("work", CPU) != machine_and("other work", CPU)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 61)
    assert machine_and("work", CPU) != here


def test_full_precision_is_float32_whatever_is_remembered(workspace, memory, monkeypatch):
    measured = choose(monkeypatch, CHANNELS_LAST)
    usual = train(workspace, dataclasses.replace(OPTIONS, precision="full"))
    assert the_format(usual) == FULL_PRECISION
    train(workspace, OPTIONS)
    again = train(workspace, dataclasses.replace(OPTIONS, precision="full"))
    assert the_format(again) == FULL_PRECISION
    assert len(measured) == 1


def test_a_short_training_measures_nothing_and_is_float32_to_the_bit(workspace, memory):
    short = train(workspace, OPTIONS)
    assert not memory.exists()
    before = weights(short)
    full = weights(train(workspace, dataclasses.replace(OPTIONS, precision="full")))
    assert all(torch.equal(tensor, full[name]) for name, tensor in before.items())


@pytest.mark.parametrize("wanted", [CHANNELS_LAST, pytest.param(BFLOAT16, marks=needs_bfloat16)], ids=str)
def test_a_resumed_training_keeps_the_format_it_began_in(wanted, workspace, memory, monkeypatch):
    choose(monkeypatch, wanted)
    uninterrupted = train(workspace, OPTIONS)
    expected = weights(uninterrupted)
    uninterrupted.checkpoint.unlink()
    with pytest.raises(StopRequested):
        train(workspace, OPTIONS, StopInTraining(question=5))
    memory.unlink()
    resumed = train(workspace, dataclasses.replace(OPTIONS, resume=True))
    assert the_format(resumed) == wanted
    assert all(torch.equal(tensor, weights(resumed)[name]) for name, tensor in expected.items())


@pytest.mark.parametrize("began_in", [CHANNELS_LAST, pytest.param(BFLOAT16, marks=needs_bfloat16)], ids=str)
def test_a_resume_in_full_precision_is_obeyed_and_told(began_in, workspace, memory, monkeypatch):
    choose(monkeypatch, began_in)
    with pytest.raises(StopRequested):
        train(workspace, OPTIONS, StopInTraining(question=5))
    report = Recorder()
    resumed = train(workspace, dataclasses.replace(OPTIONS, resume=True, precision="full"), report)
    assert the_format(resumed) == FULL_PRECISION
    [told] = [event["message"] for event in report.events if event["event"] == "number_format"]
    assert f"computed in {began_in}, and from here on in float32" in told
    assert "--precision full" in told


def test_what_this_machine_cannot_compute_goes_on_in_its_usual_format(workspace, memory, monkeypatch):
    choose(monkeypatch, CHANNELS_LAST)
    train(workspace, OPTIONS)
    memory.unlink()
    monkeypatch.setattr(state, "can_compute", lambda number_format, device: False)
    longer = train(workspace, dataclasses.replace(OPTIONS, epochs=3, resume=True))
    assert the_format(longer) == FULL_PRECISION


@needs_bfloat16
def test_bfloat16_learns_along_the_same_curve(workspace, memory, monkeypatch):
    options = dataclasses.replace(OPTIONS, epochs=10, iterations=8, fold=1)
    curves = {}
    for number_format in (FULL_PRECISION, BFLOAT16):
        choose(monkeypatch, number_format)
        trained = train(workspace, options)
        assert the_format(trained) == number_format
        curves[number_format] = np.array(checkpoint(trained)["logging"]["train_losses"])
        memory.unlink()
    usual, other = curves.values()
    assert usual[-1] < usual[0] - 0.5
    assert not np.array_equal(usual, other)
    assert np.abs(usual - other).max() < 0.05
    assert np.abs(usual - other).mean() < 0.02


def test_a_graphics_card_that_is_too_small_is_a_sentence_with_a_batch_and_a_planner(tmp_path, monkeypatch):
    task = tiny_task(tmp_path)
    full = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    card = types.SimpleNamespace(total_memory=24 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    with pytest.raises(UserInputError) as refusal, memory_in_a_sentence(task, torch.device("cuda")):
        raise full
    sentence = str(refusal.value)
    assert "did not fit into the graphics card's memory of 24 GB" in sentence
    assert "a batch_size of at most" in sentence
    assert "plan with --planner plain" in sentence
    with pytest.raises(RuntimeError, match="another mistake"), memory_in_a_sentence(task, torch.device("cuda")):
        raise RuntimeError("another mistake")


def ticking(monkeypatch, seconds: dict[NumberFormat, list[float]]):
    """A `prepare` whose runs take the given seconds on a clock of the test's own; the runs that were made."""
    now, runs = [0.0], []
    monkeypatch.setattr(format_memory.time, "perf_counter", lambda: now[0])

    def prepare(number_format):
        left = iter(seconds[number_format])

        def run():
            runs.append(number_format)
            now[0] += next(left)

        return run

    return prepare, runs


@pytest.mark.parametrize(
    ("seconds", "expected", "runs"),
    [
        ({FULL_PRECISION: [9, 2, 2], BFLOAT16: [5, 1, 1], CHANNELS_LAST: [0, 0, 0]}, BFLOAT16, 6),  # far faster: enough
        ({FULL_PRECISION: [2, 2, 2], BFLOAT16: [40], CHANNELS_LAST: [2, 1.7, 1.7]}, CHANNELS_LAST, 7),  # hopeless
        (
            {FULL_PRECISION: [2, 2, 2, 2, 2], BFLOAT16: [2, 1.9, 1.9], CHANNELS_LAST: [2, 2, 2]},
            FULL_PRECISION,
            11,
        ),  # noise
    ],
)
def test_a_measurement_is_short_and_takes_what_is_clearly_faster(seconds, expected, runs, monkeypatch):
    prepare, made = ticking(monkeypatch, seconds)
    found, _ = measure((FULL_PRECISION, BFLOAT16, CHANNELS_LAST), prepare)
    assert (found, len(made)) == (expected, runs)


def test_a_process_that_grows_faster_does_not_favour_what_is_tried_last(monkeypatch):
    cold_then_warm = {FULL_PRECISION: [9, 4, 2], BFLOAT16: [4, 2, 2], CHANNELS_LAST: [2, 2, 2]}
    cold_then_warm[FULL_PRECISION] += [2, 2]
    prepare, _ = ticking(monkeypatch, cold_then_warm)
    found, seconds = measure((FULL_PRECISION, BFLOAT16, CHANNELS_LAST), prepare)
    assert found == FULL_PRECISION
    assert seconds == dict.fromkeys(seconds, 2)


def test_short_steps_are_timed_more_often(monkeypatch):
    prepare, made = ticking(monkeypatch, {FULL_PRECISION: [0.01] * 9, BFLOAT16: [0.01] * 9})
    measure((FULL_PRECISION, BFLOAT16), prepare)
    assert len(made) == 2 + 2 * format_memory.MOST_ROUNDS


def test_what_was_measured_for_one_plan_stays_beside_that_for_another(tmp_path):
    file = tmp_path / "number_formats.json"
    remember(file, "one", BFLOAT16, {FULL_PRECISION: 2.0, BFLOAT16: 1.0})
    remember(file, "other", FULL_PRECISION, {FULL_PRECISION: 2.0})
    assert (remembered(file, "one"), remembered(file, "other")) == (BFLOAT16, FULL_PRECISION)
    assert remembered(file, "third") is None


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"one": "float32"},
        {"one": {"number_format": {"precision": "float64", "channels_last": True}, "seconds": {}}},
        {"one": {"number_format": {"precision": "float32", "channels_last": 1}, "seconds": {}}},
        {"one": {"number_format": {"precision": "float32"}, "seconds": {}}},
    ],
)
def test_a_damaged_memory_is_measured_anew(content, tmp_path):
    file = tmp_path / "number_formats.json"
    write_json(file, content)
    assert remembered(file, "one") is None
    remember(file, "one", BFLOAT16, {BFLOAT16: 1.0})
    assert remembered(file, "one") == BFLOAT16


def test_an_unknown_precision_is_a_sentence():
    with pytest.raises(UserInputError, match="--precision 'half': must be 'auto' or 'full'"):
        TrainOptions(NAME, "3d_fullres", 0, precision="half")


def test_a_recipe_under_which_noise_overflows_is_measured_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(format_choice, "WORTH_MEASURING", 1)
    task = with_recipe(tiny_task(tmp_path), learning_rate=1e30)
    chosen = format_choice.choose_format(task, CPU, tmp_path / "number_formats.json")
    assert chosen in candidates(CPU)
    assert (tmp_path / "number_formats.json").is_file()
