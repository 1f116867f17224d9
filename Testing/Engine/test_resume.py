"""A training that was interrupted ends, bit by bit, where an uninterrupted one does."""

from __future__ import annotations

import errno
import math
import os
import random
import shutil
from collections.abc import Callable, Container
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import TEMPORARY_PREFIX, remove_abandoned
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.pipeline.pretrained import read_pretrained
from SegAutoPlanLib.training import TrainingTask
from SegAutoPlanLib.training.step import TrainingStep

from .tiny_training import (
    EPOCHS,
    ITERATIONS,
    Written,
    at_the_end,
    digest_of,
    every_instant,
    tiny_task,
    trained,
    with_recipe,
)

KILLS = 100


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> TrainingTask:
    torch.set_num_threads(1)
    return tiny_task(tmp_path_factory.mktemp("resumed"))


@pytest.fixture(scope="module")
def uninterrupted(prepared) -> Written:
    return trained(replace(prepared, model_folder=prepared.model_folder / "uninterrupted"))


@pytest.fixture
def task(prepared, tmp_path) -> TrainingTask:
    return replace(prepared, model_folder=tmp_path)


@pytest.fixture(autouse=True, scope="module")
def without_pictures():
    """A picture takes longer than these trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("SegAutoPlanLib.training.training_reports.picture_is_possible", lambda: False)
        yield


def resumed(task: TrainingTask) -> Written:
    """As the command does it, which also sweeps up what a killed write left."""
    remove_abandoned(task.fold_folder, is_alone=True)
    return trained(replace(task, resume=True))


def differs(task: TrainingTask, told: Written, uninterrupted: Written) -> list[object]:
    """Which checkpoints are not, or were not when they were written, those of the uninterrupted training."""
    wrong = [key for key, digest in told.checkpoints.items() if uninterrupted.checkpoints.get(key) != digest]
    best = max(epoch for name, epoch in uninterrupted.checkpoints if name == "best")
    expected = {name: uninterrupted.checkpoints[name, epoch] for name, epoch in (("best", best), ("final", EPOCHS))}
    left = [path.name for path in task.fold_folder.iterdir() if path.name.startswith(TEMPORARY_PREFIX)]
    return [*wrong, *left, *([] if at_the_end(task) == expected else ["at the end"])]


def test_killed_at_a_hundred_instants_it_ends_with_the_same_checkpoints(task, uninterrupted, tmp_path):
    rng = random.Random(0)
    killed: list[TrainingTask] = []

    def kill(running: TrainingTask) -> None:
        # What a process that is killed now leaves: the disk as it is.
        left = replace(task, model_folder=tmp_path / f"killed {len(killed)}")
        left.fold_folder.mkdir(parents=True)
        if running.fold_folder.exists():
            shutil.copytree(running.fold_folder, left.fold_folder, dirs_exist_ok=True)
        killed.append(left)

    with every_instant(lambda: kill(task)):
        trained(task)
    wrong, once = [], len(killed)
    for number in range(once):
        # Some of those who go on are killed a second time, until they are a hundred.
        at = rng.randint(1, 40) if rng.random() < (KILLS - once) / once * 2 and len(killed) < KILLS else 0
        wrong += differs(killed[number], _resumed_and_killed(killed[number], at, kill), uninterrupted)
    for twice in killed[once:]:
        wrong += differs(twice, resumed(twice), uninterrupted)
    assert len(killed) >= KILLS
    assert wrong == []


def _resumed_and_killed(task: TrainingTask, at: int, kill: Callable[[TrainingTask], None]) -> Written:
    instants = count(1)
    with every_instant(lambda: kill(task) if next(instants) == at else None):
        return resumed(task)


def test_stopped_before_any_step_or_look_at_validation_it_ends_with_the_same_checkpoints(task, uninterrupted):
    for step in range(1, EPOCHS * (ITERATIONS + 1) + 1):
        stopped = replace(task, model_folder=task.model_folder / f"stopped {step}")
        with pytest.raises(StopRequested, match="everything learned so far is kept"):
            trained(stopped, stop_at=step)
        assert differs(stopped, resumed(stopped), uninterrupted) == []


class DiskFull:
    """Refuses some of the files that are written, as a full disk does in the middle of it.

    Args:
        numbers: which ones, from 1.
    """

    def __init__(self, patch: pytest.MonkeyPatch, numbers: Container[int]) -> None:
        self._numbers, self._written = numbers, 0
        patch.setattr(Path, "write_bytes", lambda path, content: self._write(path, content))

    def _write(self, path: Path, content: memoryview) -> int:
        self._written += 1
        if self._written not in self._numbers:
            return path.open("wb").write(content)
        path.open("wb").write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


WRITES = 6
"""Of best and latest in each epoch; in the last one best and final."""


@pytest.mark.parametrize("number", range(2, WRITES))
def test_a_disk_that_is_full_for_a_while_is_a_warning_and_costs_nothing(number, task, uninterrupted, monkeypatch):
    assert len(uninterrupted.checkpoints) == WRITES
    DiskFull(monkeypatch, [number])
    told = trained(task)
    (warning,) = [message for message in told.messages("warning") if "the disk is full" in message]
    assert "Training goes on" in warning
    # A best one that could not be written is written as soon as another is better.
    assert digest_of(task.checkpoint("final")) == uninterrupted.checkpoints["final", EPOCHS] or number == WRITES - 1
    assert [path.name for path in task.fold_folder.iterdir() if path.name.startswith(TEMPORARY_PREFIX)] == []


def test_a_disk_that_is_full_from_the_start_is_a_sentence_in_the_first_epoch(task, monkeypatch):
    DiskFull(monkeypatch, range(1, 100))
    with pytest.raises(UserInputError, match="the disk is full") as refusal:
        trained(task)
    assert str(task.checkpoint("best")) in str(refusal.value)
    assert not [path for path in task.fold_folder.iterdir() if path.suffix == ".pth"]


def test_a_disk_that_is_full_at_the_end_keeps_the_last_state_to_end_from(task, uninterrupted, monkeypatch):
    with monkeypatch.context() as full:
        DiskFull(full, range(3, 100))
        with pytest.raises(UserInputError, match="its state after epoch 1 is kept, to resume from"):
            trained(task)
    assert digest_of(task.checkpoint("latest")) == uninterrupted.checkpoints["latest", 1]
    assert differs(task, resumed(task), uninterrupted) == []


def test_a_stop_on_a_full_disk_says_what_is_kept(task, monkeypatch):
    DiskFull(monkeypatch, range(3, 100))
    with pytest.raises(UserInputError, match=r"disk is full.* has stopped; its state after epoch 1 is kept"):
        trained(task, stop_at=ITERATIONS + 2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_spoils_no_checkpoint(value, task, uninterrupted, monkeypatch):
    forward, steps = TrainingStep._forward, count(1)

    def spoilt(self, images, labels):
        seen = forward(self, images, labels)
        return replace(seen, loss=seen.loss * value) if next(steps) == 5 else seen

    # The fifth: after two steps and a look at validation, the second step of the second epoch.
    monkeypatch.setattr(TrainingStep, "_forward", spoilt)
    with pytest.raises(UserInputError, match="in epoch 2 the loss became infinite or not a number") as refusal:
        trained(task)
    assert "its state after epoch 1 is kept" in str(refusal.value)
    assert at_the_end(task) == {name: uninterrupted.checkpoints[name, 1] for name in ("latest", "best")}


def test_weights_that_became_infinite_are_not_saved_over_good_ones(task, uninterrupted, monkeypatch):
    train, steps = TrainingStep.train, count(1)

    def spoiling(self, images, labels):
        loss = train(self, images, labels)
        if next(steps) == 2 * ITERATIONS:
            with torch.no_grad():
                next(self._state.network.parameters()).fill_(math.inf)
        return loss

    monkeypatch.setattr(TrainingStep, "train", spoiling)
    with pytest.raises(UserInputError, match="in epoch 2 the loss"):
        trained(task)
    assert at_the_end(task) == {name: uninterrupted.checkpoints[name, 1] for name in ("latest", "best")}


def spoil_times(task: TrainingTask) -> None:
    """Let the times of the files say the contrary of what they hold."""
    for age, name in enumerate(("latest", "best", "final")):
        if task.checkpoint(name).is_file():
            os.utime(task.checkpoint(name), (age, age))


def test_a_training_begun_beside_a_final_checkpoint_is_gone_on_with_whatever_the_times_say(task, uninterrupted):
    trained(task)
    with pytest.raises(StopRequested):
        trained(task, stop_at=4)
    spoil_times(task)
    told = resumed(task)
    assert told.messages("resumed") == ["Continuing after epoch 1."]
    # The same but for the number of the training.
    final = read_checkpoint(task.checkpoint("final"))
    assert final["segautoplan"]["training"] == 2
    same = trained(replace(task, model_folder=task.model_folder / "again"))
    assert same.checkpoints.keys() == uninterrupted.checkpoints.keys()
    weights = read_checkpoint(same._task.checkpoint("final"))["network_weights"]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in final["network_weights"].items())


def test_a_training_killed_before_it_wrote_anything_leaves_the_finished_one_beside_it(task, monkeypatch):
    trained(task)
    before = at_the_end(task)
    monkeypatch.setattr(TrainingStep, "train", _killed)
    with pytest.raises(KeyboardInterrupt):
        trained(task)
    monkeypatch.undo()
    assert resumed(task).messages("resumed") == [f"Continuing after epoch {EPOCHS}."]
    assert at_the_end(task) == before


def _killed(*_given):
    raise KeyboardInterrupt


def test_a_final_checkpoint_wins_over_the_latest_that_a_kill_left_beside_it(task, uninterrupted):
    with pytest.raises(StopRequested):
        trained(task, stop_at=4)
    kept = task.checkpoint("latest").read_bytes()
    resumed(task)
    task.checkpoint("latest").write_bytes(kept)
    spoil_times(task)
    assert resumed(task).messages("resumed") == [f"Continuing after epoch {EPOCHS}."]
    assert not task.checkpoint("latest").exists()
    assert digest_of(task.checkpoint("final")) == uninterrupted.checkpoints["final", EPOCHS]


def test_a_best_one_of_a_former_training_goes_even_if_the_new_one_was_killed_before_that(task):
    trained(task)
    former = task.checkpoint("best").read_bytes()
    trained(replace(task, checkpoints=False))
    task.checkpoint("best").write_bytes(former)
    resumed(task)
    assert at_the_end(task).keys() == {"final"}


def test_the_final_checkpoint_of_a_new_training_leaves_no_latest_or_best_of_a_former_one(task):
    with pytest.raises(StopRequested):
        trained(task, stop_at=4)
    trained(replace(task, checkpoints=False, seed=6))
    assert at_the_end(task).keys() == {"final"}


def test_a_finished_training_is_continued_by_more_epochs(task):
    trained(task)
    longer = with_recipe(task, epochs=EPOCHS + 2, name="longer")
    told = resumed(longer)
    assert [event["epoch"] for event in told.events if event["event"] == "epoch"] == [EPOCHS + 1, EPOCHS + 2]
    (message,) = told.messages("resumed")
    assert message.startswith(
        f"Continuing after epoch {EPOCHS}. It was to end after epoch {EPOCHS} and now ends after {EPOCHS + 2};"
    )
    rates = [event["learning_rate"] for event in told.events if event["event"] == "epoch"]
    assert f"{rates[0]:.3g}" in message
    assert rates == pytest.approx([5e-2 * (1 - epoch / 5) ** 0.9 for epoch in (3, 4)])
    with pytest.raises(UserInputError, match="give --epochs above that"):
        resumed(task)


DIFFERENT = {
    "--seed 5, not 6": lambda task: replace(task, seed=6),
    "--iterations 2, not 3": lambda task: with_recipe(task, iterations_per_epoch=3),
    "--loss dice_ce, not dice": lambda task: with_recipe(task, loss="dice"),
    "--freeze none, not encoder": lambda task: with_recipe(task, freeze="encoder"),
    "learning_rate 0.05, not 0.01": lambda task: with_recipe(task, learning_rate=0.01),
    "--recipe short, not mine, momentum 0.9, not 0.8": lambda task: with_recipe(task, name="mine", momentum=0.8),
    "other cases": lambda task: replace(task, training_cases=("ball_0", "ball_1")),
    "fold 0, not all": lambda task: replace(task, fold="all"),
    "another batch_size in its plan": lambda task: with_configuration(task, batch_size=3),
    "another patch_size in its plan": lambda task: with_configuration(task, patch_size=(24, 16)),
    "other labels in dataset.json": lambda task: replace(
        task,
        dataset_json=replace(task.dataset_json, document={**task.dataset_json.document, "labels": {"a": 0, "b": 2}}),
    ),
}


def with_configuration(task: TrainingTask, **changes) -> TrainingTask:
    changed = replace(task.plan.configuration("2d"), **changes)
    return replace(task, plan=replace(task.plan, configurations={**task.plan.configurations, "2d": changed}))


@pytest.fixture(scope="module")
def stopped_folder(prepared, tmp_path_factory) -> Path:
    task = replace(prepared, model_folder=tmp_path_factory.mktemp("stopped"))
    with pytest.raises(StopRequested):
        trained(task, stop_at=4)
    return task.fold_folder


@pytest.mark.parametrize("what", DIFFERENT)
def test_another_training_than_the_checkpoints_is_refused_in_a_sentence(what, task, stopped_folder):
    other = DIFFERENT[what](task)
    shutil.copytree(stopped_folder, other.fold_folder)
    before = at_the_end(other)
    with pytest.raises(UserInputError) as refusal:
        resumed(other)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{other.checkpoint('latest')}: was trained with {what}")
    assert "leave out --resume" in sentence
    assert at_the_end(other) == before


def test_the_loss_that_fits_the_labels_is_the_same_by_name(task, stopped_folder, uninterrupted):
    shutil.copytree(stopped_folder, task.fold_folder)
    resumed(with_recipe(task, loss="dice_ce"))
    expected = read_checkpoint(uninterrupted._task.checkpoint("final"))["network_weights"]
    found = read_checkpoint(task.checkpoint("final"))["network_weights"]
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("key", "value"),
    [("plans", {}), ("plans", "x"), ("plans", {"configurations": [[]]}), ("dataset_json", []), ("dataset_json", {})],
)
def test_a_checkpoint_whose_own_plan_or_labels_are_none_is_refused(key, value, task, stopped_folder):
    shutil.copytree(stopped_folder, task.fold_folder)
    content = read_checkpoint(task.checkpoint("latest"), with_optimizer=True)
    content["init_args"][key] = value
    torch.save(content, task.checkpoint("latest"))
    with pytest.raises(UserInputError) as refusal:
        resumed(task)
    assert str(refusal.value).startswith(f"{task.checkpoint('latest')}: ")


def test_a_checkpoint_without_a_recipe_is_gone_on_with_and_a_warning(task, stopped_folder):
    shutil.copytree(stopped_folder, task.fold_folder)
    task.checkpoint("best").unlink()
    content = read_checkpoint(task.checkpoint("latest"), with_optimizer=True)
    del content["segautoplan"]
    torch.save(content, task.checkpoint("latest"))
    told = resumed(task)
    assert told.messages("resumed") == ["Continuing after epoch 1."]
    assert [message for message in told.messages("warning") if "does not say its recipe and seed" in message]


def test_without_a_checkpoint_a_resume_starts_from_the_pretrained_weights_all_the_same(task, uninterrupted):
    source = read_pretrained(uninterrupted._task.checkpoint("final"))
    fine_tuned = trained(replace(task, pretrained=source))
    begun_anew = resumed(replace(task, pretrained=source, model_folder=task.model_folder / "resumed"))
    assert begun_anew.checkpoints == fine_tuned.checkpoints


def test_latest_is_written_every_epoch_unless_that_takes_too_much_of_the_time(task, monkeypatch):
    clock = count()
    monkeypatch.setattr("SegAutoPlanLib.training.checkpoints.monotonic", lambda: next(clock))
    rare = trained(with_recipe(task, checkpoint_every=1000, epochs=8))
    # A writing takes one tick of this clock, and an epoch the one of asking: it must be 20 of them.
    assert [epoch for name, epoch in rare.checkpoints if name == "latest"] == [1]
    monkeypatch.undo()
    monkeypatch.setattr("SegAutoPlanLib.training.checkpoints.SHARE_OF_TIME", math.inf)
    often = trained(with_recipe(task, checkpoint_every=1000))
    assert [epoch for name, epoch in often.checkpoints if name == "latest"] == [1, 2]


def test_a_training_that_starts_anew_replaces_checkpoints_that_nobody_can_read(task, uninterrupted):
    task.fold_folder.mkdir(parents=True)
    for name in ("latest", "best"):
        task.checkpoint(name).write_bytes(b"PK damaged")
    with pytest.raises(UserInputError, match="checkpoint_"):
        resumed(task)
    assert differs(task, trained(task), uninterrupted) == []
