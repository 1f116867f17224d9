"""What a training tells of itself: warnings in words, the time left, and the files beside the checkpoints."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest

from SegAutoPlanLib.files import read_json
from SegAutoPlanLib.images import read_image
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.pipeline.train import train
from SegAutoPlanLib.training import EpochLog, find_recipe, training_reports
from SegAutoPlanLib.training.progress_picture import write_picture
from SegAutoPlanLib.training.time_left import TimeLeft
from SegAutoPlanLib.training.warning_signs import SIGNS, Watched, signs_of

from .balls import NAME, ball_workspace
from .test_training import SHORT, Recorder

HEALTHY = [
    EpochLog(
        mean_dice=0.1 + 0.02 * n,
        ema_dice=0.1 + 0.02 * n,
        dice=(0.1 + 0.02 * n,) * 2,
        train_loss=-0.01 * n,
        val_loss=-0.008 * n + 0.004 * (n % 2),
        learning_rate=0.01,
        started=10.0 * n,
        ended=10.0 * n + 9,
    )
    for n in range(40)
]


def watched(log=HEALTHY, iterations_per_epoch=250, **changes):
    return Watched(log=log, classes=("anterior", "posterior"), iterations_per_epoch=iterations_per_epoch, **changes)


def changed(last=40, **changes):
    """The healthy curves with other values in their last epochs."""
    return [*HEALTHY[:-last], *(dataclasses.replace(epoch, **changes) for epoch in HEALTHY[-last:])]


def by_heart():
    return [
        dataclasses.replace(epoch, val_loss=-0.2 + 0.005 * max(0, n - 15)) if n > 15 else epoch
        for n, epoch in enumerate(HEALTHY)
    ]


WRONG = {
    "loss": watched(changed(1, train_loss=math.nan)),
    "nothing": watched(changed(dice=(0.0, 0.0))),
    "class": watched(changed(dice=(0.8, 0.0))),
    "overfitting": watched(by_heart()),
    "data": watched(working_s=100, waiting_s=60),
    "memory": watched(memory_share=0.98),
}


def test_a_healthy_training_is_not_warned_of():
    for epochs in range(1, len(HEALTHY) + 1):
        assert signs_of(watched(HEALTHY[:epochs], working_s=100, waiting_s=40, memory_share=0.9)) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_goes_wrong_is_said_with_what_to_do(name):
    (sign,) = signs_of(WRONG[name])
    assert sign.name == name
    assert sign.message.endswith(".")
    assert sign.hint.endswith(".")


def test_there_is_a_case_for_every_sign():
    assert len(WRONG) == len(SIGNS)


def test_a_missed_class_is_named():
    (sign,) = signs_of(WRONG["class"])
    assert "anything of posterior." in sign.message


@pytest.mark.parametrize("steps", [100, 900])
def test_nobody_is_warned_before_a_network_can_have_learned(steps):
    log = changed(dice=(0.0, 0.0))[: steps // 25]
    assert signs_of(watched(log, iterations_per_epoch=25)) == []


def test_a_class_that_no_patch_showed_is_no_sign():
    assert signs_of(watched(changed(dice=(0.8, math.nan)))) == []


def test_an_epoch_without_a_validation_disturbs_nothing():
    assert signs_of(watched(changed(1, val_loss=math.nan, dice=()))) == []


def test_the_time_left_is_that_of_steps_validation_and_the_cases_at_the_end():
    recipe = find_recipe("default", epochs=10, iterations=25)
    left = TimeLeft(recipe, validation_batches=30)
    assert left.seconds(0, 0, 10) is None
    for seconds in (8.0, 2.0, 2.0):
        left.stepped(seconds)
    # 247 steps, 50 batches of validation and 30 at the end, which take a third of a step.
    assert left.seconds(0, 3, 10) == pytest.approx(247 * 2 + (50 + 30) * 2 / 3)
    left.validated(5.0)
    assert left.seconds(1, 0, 10) == pytest.approx(225 * 2 + 9 * 5 + 30 * 2 / 3)


def test_the_pace_follows_a_machine_that_becomes_slower():
    left = TimeLeft(find_recipe("default", epochs=10, iterations=100))
    for seconds in [1.0] * 200 + [3.0] * 200:
        left.stepped(seconds)
    assert left.seconds(9, 0, 10) == pytest.approx(100 * 3 + 20, rel=0.02)


@pytest.mark.parametrize("epochs", [1, 5, 40])
@pytest.mark.parametrize("classes", [2, 60])
def test_the_picture_is_drawn_of_any_number_of_epochs_and_classes(tmp_path, epochs, classes):
    log = [dataclasses.replace(epoch, dice=(0.5,) * classes) for epoch in HEALTHY[:epochs]]
    log[0] = dataclasses.replace(log[0], ema_dice=None, val_loss=math.nan, dice=())
    write_picture(tmp_path / "progress.png", log, [f"label {n}" for n in range(classes)])
    assert read_image([tmp_path / "progress.png"], "NaturalImage2DIO").array.shape[-2:] == (700, 1100)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = ball_workspace(tmp_path_factory.mktemp("watching"))
    preprocess(workspace, PreprocessOptions(NAME, configurations=["3d_fullres"]))
    return workspace


def test_a_fold_has_a_log_a_picture_and_what_it_was_started_with(workspace):
    folder = train(workspace, SHORT, Recorder()).folder
    (log,) = folder.glob("training_log_*.txt")
    assert re.fullmatch(r"training_log_\d{4}(_\d{1,2}){2}(_\d\d){3}\.txt", log.name)
    text = log.read_text(encoding="utf-8")
    for line in ("Epoch 2", "Current learning rate: 0.0", "train_loss ", "val_loss ", "Pseudo dice [", "Epoch time: "):
        assert line in text
    assert (folder / "progress.png").stat().st_size > 10_000
    debug = read_json(folder / "debug.json")
    assert debug["recipe"]["epochs"] == 3
    assert debug["configuration"]["patch_size"] == [16, 16, 16]
    assert len(debug["training_cases"]) > len(debug["validation_cases"]) > 0


def test_a_picture_that_cannot_be_written_is_told_once_and_ends_nothing(workspace, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "progress.png")

    monkeypatch.setattr(training_reports, "write_picture", full)
    monkeypatch.setattr(training_reports, "DRAW_EVERY_S", -1)
    report = Recorder()
    assert train(workspace, dataclasses.replace(SHORT, fold=1), report).checkpoint.is_file()
    (warning,) = [event for event in report.events if event["event"] == "warning"]
    assert "disk" in warning["message"]


def test_without_matplotlib_a_training_says_so_and_goes_on(workspace, monkeypatch):
    monkeypatch.setattr(training_reports, "picture_is_possible", lambda: False)
    report = Recorder()
    folder = train(workspace, dataclasses.replace(SHORT, fold=2), report).folder
    (warning,) = [event for event in report.events if event["event"] == "warning"]
    assert "matplotlib" in warning["message"]
    assert not (folder / "progress.png").exists()
