"""A training that is told how long it may take."""

from __future__ import annotations

import dataclasses
import itertools
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.inference import Segmenter, load_model, validation
from SegAutoPlanLib.inference.tiling import count_tiles, padding_to, tile_of, tiles
from SegAutoPlanLib.inference.validation import segment_preprocessed_folder
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.networks.samples_at_once import samples_at_once
from SegAutoPlanLib.number_format import FULL_PRECISION, NumberFormat
from SegAutoPlanLib.pipeline import train as pipeline_train
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.pipeline.train_options import SHORT_BUDGET_MINUTES, recipe_of
from SegAutoPlanLib.training import course, find_recipe, rehearsal, trainer
from SegAutoPlanLib.training.course import SHORTEST_EPOCH, TimedCourse, iterations_for, timed_recipe
from SegAutoPlanLib.training.distributed import ALONE
from SegAutoPlanLib.training.new_training import new_state
from SegAutoPlanLib.training.state import NotFinite, Timed, TrainingState
from SegAutoPlanLib.training.time_budget import LEAST_STEPS, Fit, Pace, fit_into, require_enough, words_of

from .balls import NAME, ball_workspace
from .test_training import Recorder
from .tiny_training import tiny_task

QUICK = TrainOptions(NAME, "3d_fullres", 0, recipe="short", minutes=10, device="cpu", seed=7)


class Ticking:
    """A clock on which time passes only by asking it: no machine is too slow for it."""

    def __init__(self, seconds: float) -> None:
        self._now, self._seconds = 0.0, seconds

    def monotonic(self) -> float:
        self._now += self._seconds
        return self._now

    time, perf_counter = staticmethod(time.time), staticmethod(time.perf_counter)


@pytest.fixture
def ticking(monkeypatch):
    clock = Ticking(seconds=2)
    for module in (pipeline_train, course, trainer, validation):
        monkeypatch.setattr(module, "time", clock)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = ball_workspace(tmp_path_factory.mktemp("budget"))
    preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"]))
    return workspace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def learning_rates(seconds_of_step, budget_s=1000.0, expected_step_s=1.0):
    """Of a whole training in which step n takes seconds_of_step(n) seconds."""
    clock, steps = Clock(), budget_s / expected_step_s
    iterations = iterations_for(steps)
    recipe = timed_recipe(find_recipe("default"), steps, iterations)
    course = TimedCourse(recipe, ALONE, clock.now + budget_s, 0.0, expected_step_s, clock)
    state = TrainingState(None, None, None, timed=Timed(0.0, steps, iterations))
    rates = []
    while not course.is_over(state):
        course.begin_epoch(state)
        for _ in range(recipe.iterations_per_epoch):
            if course.is_over(state):
                break
            rates.append(course.learning_rate(state))
            clock.now += seconds_of_step(len(rates))
            course.stepped(state)
        state.epoch += 1
    return rates, clock.now - 1000.0


@pytest.mark.parametrize(
    "seconds_of_step",
    [
        pytest.param(lambda n: 1.0, id="as expected"),
        pytest.param(lambda n: 2.0, id="twice as slow as rehearsed"),
        pytest.param(lambda n: 0.5, id="twice as fast as rehearsed"),
        pytest.param(lambda n: 1.0 if n < 500 else 1.5, id="slower on the way"),
        pytest.param(lambda n: 1.0 if n < 500 else 0.7, id="faster on the way"),
        pytest.param(lambda n: 0.8 + 0.4 * (n % 2), id="unsteady"),
    ],
)
def test_the_learning_rate_ends_at_zero_when_the_time_is_up(seconds_of_step):
    rates, taken = learning_rates(seconds_of_step)
    assert taken == pytest.approx(1000, rel=0.01)
    assert rates[0] == 0.01
    assert rates[-1] < 0.05 * rates[0]
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates))


def test_a_steady_pace_gives_the_recipes_own_schedule():
    rates, _ = learning_rates(lambda n: 1.0)
    assert len(rates) == 1000
    for done in (0, 250, 500, 999):
        assert rates[done] == pytest.approx(0.01 * (1 - done / 1000) ** 0.9, rel=1e-6)


def test_a_slow_first_step_is_not_taken_for_the_pace():
    clock = Clock()
    recipe = timed_recipe(find_recipe("default"), 100, 10)
    course = TimedCourse(recipe, ALONE, clock.now + 120, 0.0, 1.0, clock)
    state = TrainingState(None, None, None, timed=Timed(0.0, 100, 10))
    course.begin_epoch(state)
    for step in range(10):
        clock.now += 20 if step == 0 else 1
        course.stepped(state)
    state.epoch = 1
    course.begin_epoch(state)
    assert state.timed.steps_left == pytest.approx(91)
    assert course.epochs(state) == 10


def test_an_epoch_of_a_budget_is_a_twenty_fifth_of_it_within_limits():
    assert [iterations_for(steps) for steps in (30, 1000, 10**6)] == [SHORTEST_EPOCH, 40, 250]


def test_the_validation_gets_what_it_needs_and_at_most_its_share():
    pace = Pace(step_s=1.0, tile_s=0.1)
    assert fit_into(1000, pace, 100) == Fit(steps=pytest.approx(987), reserve_s=pytest.approx(13))
    assert fit_into(1000, pace, 10**6).reserve_s == pytest.approx(150)
    # Reading, export and writing of each case, too.
    assert fit_into(1000, pace, 100, 40).reserve_s == pytest.approx(13 + 6)


def test_a_budget_too_short_for_one_epoch_is_refused_with_one_that_is_not():
    pace = Pace(step_s=6.0, tile_s=0.5)
    with pytest.raises(UserInputError, match=r"^--minutes 1: is too short for one epoch; .* at least --minutes 4\.$"):
        require_enough(1, 30, fit_into(30, pace, 40), pace)
    require_enough(4, 240 - 30, fit_into(240 - 30, pace, 40), pace)
    assert fit_into(240 - 30, pace, 40).steps > LEAST_STEPS


def test_the_words_say_how_far_it_is_from_the_full_schedule():
    assert words_of(Fit(451.2, 12), Pace(1.3, 0.1)) == (
        "There is time for about 451 steps of 1.3 s, and for 12 s of validation; nnU-Net's full schedule has 250,000 "
        "steps."
    )


@pytest.mark.parametrize("shape", [(10, 10, 10), (40, 33, 90), (1, 300, 40)])
@pytest.mark.parametrize("patch", [(16, 16, 16), (32, 20)])
def test_tiles_are_counted_as_they_are_laid(shape, patch):
    tile = tile_of(patch)
    padded = [size + sum(around) for size, around in zip(shape, padding_to(shape, tile), strict=True)]
    assert count_tiles(shape, patch) == len(tiles(padded, tile, 0.5))


def test_a_training_with_a_budget_is_finished_and_validated(workspace, ticking):
    report = Recorder()
    trained = train(workspace, QUICK, report)
    (said,) = [event for event in report.events if event["event"] == "budget"]
    epochs = [event for event in report.events if event["event"] == "epoch"]
    assert said["steps"] > LEAST_STEPS
    assert epochs[-1]["epoch"] == epochs[-1]["epochs"]
    assert trained.validated >= 1
    content = read_checkpoint(trained.checkpoint)
    assert content["segautoplan"]["timed"]["left_s"] < 600
    assert (trained.folder / "validation" / "summary.json").is_file()


class UpBetweenEpochs(TimedCourse):
    """The time is up in the moment in which the first step of the third epoch is to be made."""

    asked_in_the_third = 0

    def is_over(self, state):
        if state.epoch == 2 and not state.iteration:
            UpBetweenEpochs.asked_in_the_third += 1
            return UpBetweenEpochs.asked_in_the_third > 1
        return super().is_over(state)


def test_an_epoch_that_the_time_left_without_a_step_is_not_logged(workspace, monkeypatch):
    monkeypatch.setattr(course, "TimedCourse", UpBetweenEpochs)
    monkeypatch.setattr(course, "EPOCHS_OF_A_BUDGET", 10**6)
    report = Recorder()
    trained = train(workspace, dataclasses.replace(QUICK, fold=3), report)
    assert UpBetweenEpochs.asked_in_the_third > 1
    assert [event["epoch"] for event in report.events if event["event"] == "epoch"] == [1, 2]
    assert not [event for event in report.events if event["event"] == "warning" and "number" in event["message"]]
    content = read_checkpoint(trained.checkpoint)
    assert content["current_epoch"] == len(content["logging"]["train_losses"]) == 2
    assert np.isfinite(content["logging"]["train_losses"]).all()
    assert not trained.checkpoint.with_name("checkpoint_latest.pth").exists()


def test_a_stopped_training_goes_on_with_what_is_left_of_its_time(workspace):
    options = dataclasses.replace(QUICK, fold=1, minutes=30)
    with pytest.raises(StopRequested):
        train(workspace, options, Recorder(stop_at=40))
    latest = workspace.results / NAME / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "fold_1" / "checkpoint_latest.pth"
    before = read_checkpoint(latest)["segautoplan"]["timed"]
    assert 0 < before["progress"] < 0.1
    assert before["left_s"] < 1800
    with pytest.raises(StopRequested):
        train(workspace, dataclasses.replace(options, minutes=None, resume=True), Recorder(stop_at=40))
    after = read_checkpoint(latest)["segautoplan"]["timed"]
    assert before["progress"] < after["progress"] < 0.2
    assert after["left_s"] < before["left_s"]
    assert after["spent_s"] > before["spent_s"]
    assert after["iterations_per_epoch"] == before["iterations_per_epoch"]


def test_a_finished_training_with_a_budget_stays_as_it_is_when_it_is_resumed(workspace, ticking):
    trained = train(workspace, dataclasses.replace(QUICK, fold=3))
    before = trained.checkpoint.read_bytes()
    again = train(workspace, dataclasses.replace(QUICK, fold=3, minutes=None, resume=True))
    assert again.checkpoint.read_bytes() == before
    assert again.validated == again.validation_cases
    with pytest.raises(UserInputError, match="was trained with --minutes, not for 3 epochs"):
        train(workspace, dataclasses.replace(QUICK, fold=3, minutes=None, epochs=3, resume=True))


def test_a_training_of_so_many_epochs_goes_on_with_a_budget(workspace, ticking):
    longer = dataclasses.replace(QUICK, fold=4, minutes=None, epochs=11, iterations=30)
    with pytest.raises(StopRequested):
        train(workspace, longer, Recorder(stop_at=15))
    report = Recorder()
    trained = train(workspace, dataclasses.replace(QUICK, fold=4, minutes=2, resume=True), report)
    content = read_checkpoint(trained.checkpoint)
    assert len(content["logging"]["train_losses"]) == content["current_epoch"] >= 1
    (resumed,) = [event["message"] for event in report.events if event["event"] == "resumed"]
    assert resumed == "Continuing after epoch 0."


def test_a_network_that_overflows_when_it_is_timed_is_a_sentence(workspace, monkeypatch):
    def overflowing(*_):
        raise NotFinite

    monkeypatch.setattr(course, "rehearse", overflowing)
    with pytest.raises(UserInputError, match="the loss became infinite or not a number"):
        train(workspace, dataclasses.replace(QUICK, fold=1))


def test_an_epoch_whose_time_is_up_before_its_first_step_is_none(workspace, monkeypatch):
    asked = itertools.count()
    monkeypatch.setattr(TimedCourse, "is_over", lambda self, state: next(asked) > SHORTEST_EPOCH)
    monkeypatch.setattr(course, "iterations_for", lambda steps: SHORTEST_EPOCH)
    report = Recorder()
    trained = train(workspace, dataclasses.replace(QUICK, fold="all"), report)
    assert [event["train_loss"] is not None for event in report.events if event["event"] == "epoch"] == [True]
    assert not [event for event in report.events if event["event"] == "warning"]
    assert read_checkpoint(trained.checkpoint)["current_epoch"] == 1


def test_where_the_time_is_up_fewer_cases_are_validated_and_none_is_left_from_before(workspace, tmp_path, ticking):
    trained = train(workspace, dataclasses.replace(QUICK, fold=2))
    segmenter = Segmenter(load_model(trained.model, [2]), "cpu")
    cases = sorted(path.stem for path in (workspace.preprocessed / NAME / "nnUNetPlans_3d_fullres").iterdir())[:4]
    cases = [case.split(".")[0] for case in cases]
    folder = workspace.preprocessed / NAME / "nnUNetPlans_3d_fullres"
    for case in cases:
        (tmp_path / f"{case}.nii.gz").write_bytes(b"of a former training")
    written = segment_preprocessed_folder(segmenter, folder, cases, tmp_path, until=0.0)
    assert len(written) == 1
    assert sorted(tmp_path.iterdir()) == written


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), 1e9, "3"])
def test_minutes_are_a_number_of_them(minutes):
    with pytest.raises(UserInputError, match=r"^--minutes"):
        TrainOptions(NAME, "3d_fullres", 0, minutes=minutes)


@pytest.mark.parametrize("length", [{"epochs": 3}, {"iterations": 3}])
def test_a_length_is_said_once(length):
    with pytest.raises(UserInputError, match=r"^--minutes: says how long"):
        TrainOptions(NAME, "3d_fullres", 0, minutes=3, **length)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "default"),
        ({"minutes": 3}, "timed"),
        ({"minutes": SHORT_BUDGET_MINUTES + 1}, "default"),
        ({"minutes": 3, "recipe": "short"}, "short"),
    ],
)
def test_a_short_budget_has_a_recipe_of_its_own(options, name):
    assert recipe_of(TrainOptions(NAME, "3d_fullres", 0, **options)).name == name


def test_the_reserve_is_measured_as_the_validation_works(tmp_path, monkeypatch):
    """The mirrored copies of one tile, without gradients or deep supervision, in a format that is always right."""
    monkeypatch.setattr(rehearsal, "REPEATS", 1)
    task = dataclasses.replace(tiny_task(tmp_path), number_format=NumberFormat("bfloat16", True))
    state = new_state(task, torch.device("cpu"), FULL_PRECISION)
    network, seen = state.network, []
    monkeypatch.setattr(rehearsal, "computing_in", lambda chosen, device: seen.append(chosen) or nullcontext())
    network.register_forward_hook(lambda _, given, output: seen.append((len(given[0]), output)))
    supervised = network.deep_supervision
    rehearsal.seconds_per_tile(network, task)
    formats, passes = seen[::2], seen[1::2]
    assert set(formats) == {FULL_PRECISION}
    copies = 2 ** len(task.mirror_axes)
    assert {samples for samples, _ in passes} == {min(copies, samples_at_once("cpu", task.configuration.patch_size))}
    assert all(isinstance(output, torch.Tensor) and output.is_inference() for _, output in passes)
    assert network.deep_supervision == supervised
