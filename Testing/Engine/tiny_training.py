"""A 2-D training of some six steps, what its checkpoints hold, and every instant at which it can be interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.pipeline.preprocess import PreprocessOptions, preprocess
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.training import TrainingTask, find_recipe
from SegAutoPlanLib.training.step import TrainingStep
from SegAutoPlanLib.training.trainer import train_fold
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, plan_small, write_balls

EPOCHS, ITERATIONS = 3, 2
NAMES = ("latest", "best", "final")
TIMES = ("epoch_start_timestamps", "epoch_end_timestamps")


def tiny_task(folder: Path) -> TrainingTask:
    """Four cases, preprocessed below `folder`, and a training of them."""
    workspace = Workspace.at(folder)
    write_balls(workspace.raw, cases=4)
    plan_small(workspace, features=(4, 4, 8))
    preprocess(workspace, PreprocessOptions(NAME, configurations=["2d"], workers=1))
    plan = read_plan(workspace.preprocessed / NAME / "nnUNetPlans.json")
    return TrainingTask(
        plan=plan,
        configuration_name="2d",
        fold=0,
        dataset_json=load_dataset(workspace.raw / NAME).dataset_json,
        recipe=replace(find_recipe("short", EPOCHS, ITERATIONS), validation_iterations=1),
        seed=5,
        preprocessed=workspace.preprocessed / NAME / plan.configuration("2d").data_identifier,
        training_cases=("ball_0", "ball_1", "ball_2"),
        validation_cases=("ball_3",),
        model_folder=folder / "model",
        device="cpu",
    )


def with_recipe(task: TrainingTask, **changes: Any) -> TrainingTask:
    return replace(task, recipe=replace(task.recipe, **changes))


class Written(Reporter):
    """Remembers every event, and what each checkpoint held when it had been written; asks for a stop if it shall.

    Args:
        stop_at: at which question, from 1.
    """

    def __init__(self, task: TrainingTask, stop_at: int | None = None) -> None:
        self._task, self._stop_at, self._questions = task, stop_at, 0
        self.events: list[dict[str, Any]] = []
        self.checkpoints: dict[tuple[str, int], str] = {}

    def event(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})
        if event == "checkpoint":
            name = fields["name"]
            self.checkpoints[name, fields["epoch"]] = digest_of(self._task.checkpoint(name))

    def stop_requested(self) -> bool:
        self._questions += 1
        return self._questions == self._stop_at

    def messages(self, event: str) -> list[str]:
        return [told["message"] for told in self.events if told["event"] == event]


def trained(task: TrainingTask, **named: Any) -> Written:
    """Train it; what was told meanwhile."""
    told = Written(task, **named)
    train_fold(task, told)
    return told


def digest_of(path: Path) -> str:
    """Of all that a checkpoint holds but the times of day."""
    content = read_checkpoint(path, with_optimizer=True)
    weights, state = content.pop("network_weights"), content["optimizer_state"].pop("state")
    tensors = [weights[name] for name in sorted(weights)]
    tensors += [state[index]["momentum_buffer"] for index in sorted(state)]
    for key in TIMES:
        del content["logging"][key]
    digest = hashlib.sha256(repr(sorted(content.items())).encode())
    for tensor in tensors:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def at_the_end(task: TrainingTask) -> dict[str, str]:
    """The digest of each checkpoint that is there."""
    return {name: digest_of(task.checkpoint(name)) for name in NAMES if task.checkpoint(name).is_file()}


@contextlib.contextmanager
def every_instant(at_instant: Callable[[], None]) -> Iterator[None]:
    """Within the block, `at_instant` is called wherever a kill would leave another state of the disk or the network.

    That is before each step of the network and each look at validation, within and after each write, and before and
    after each flush, renaming and removal.
    """

    def write_bytes(path: Path, content: memoryview) -> int:
        with path.open("wb", buffering=0) as file:
            at_instant()
            for part in (content[:1], content[1 : len(content) // 2], content[len(content) // 2 :]):
                file.write(part)
                at_instant()
        return len(content)

    def around(function: Callable) -> Callable:
        def call(*given: Any, **named: Any) -> Any:
            at_instant()
            result = function(*given, **named)
            at_instant()
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_bytes)
        for owner, name in ((os, "replace"), (Path, "unlink"), (Path, "touch"), (TrainingStep, "train")):
            patch.setattr(owner, name, around(getattr(owner, name)))
        patch.setattr(os, "fsync", around(os.fsync))
        patch.setattr(TrainingStep, "evaluate", around(TrainingStep.evaluate))
        yield
