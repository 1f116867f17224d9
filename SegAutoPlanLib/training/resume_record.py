"""What a checkpoint of ours says beyond nnU-Net's entries: one record, `segautoplan`, that resuming obeys.

A new field needs three lines: here, its rule in `OURS`, and, where two trainings with other values would end with
other weights, a row in `same_training`.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from .. import __version__
from ..number_format import NUMBER_FORMAT
from ..schema import (
    Mismatch,
    Rule,
    array_of,
    either,
    every,
    flag,
    mapping_of,
    nothing,
    number,
    number_or_nan,
    record,
    text,
    whole,
)
from .task import TrainingTask

MOST_TRAININGS = 10**9
LONGEST_VALUE = 500
MOST_VALUES = 1000


@dataclass(frozen=True)
class ResumeRecord:
    """How far a training is within its epoch, and what it was asked for; None where a checkpoint does not say."""

    training: int = 0
    """Which training of its fold, counted from 1: of two checkpoints the one of the later training is the newer."""
    iteration: int = 0
    """Finished iterations of the running epoch."""
    losses_of_epoch: tuple[float, ...] = ()
    """One per finished iteration of the running epoch."""
    seed: int | None = None
    recipe: Mapping[str, Any] | None = None
    """The fields of the `Recipe`."""
    cases: str | None = None
    """See `digest_of_cases`."""
    number_format: Mapping[str, Any] | None = None
    """The fields of the `NumberFormat` that the steps are computed in."""
    timed: Mapping[str, Any] | None = None
    """The fields of a `state.Timed`, of a training that ends by the clock."""

    @classmethod
    def of(cls, task: TrainingTask, **progress: Any) -> ResumeRecord:
        """What a task asks for."""
        return cls(seed=task.seed, recipe=asdict(task.recipe), cases=digest_of_cases(task), **progress)

    @classmethod
    def from_entry(cls, content: Mapping[str, Any]) -> ResumeRecord:
        """The record in a checkpoint's content, which has passed its gate; empty in one of nnU-Net's."""
        entry = content.get("segautoplan", {})
        given = {field.name: entry[field.name] for field in fields(cls) if field.name in entry}
        losses = tuple(float(loss) for loss in given.pop("losses_of_epoch", ()))
        return cls(losses_of_epoch=losses, **given)

    def to_entry(self) -> dict[str, Any]:
        """Plain values, with what wrote them."""
        versions = {"version": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
        return {**versions, **asdict(self), "losses_of_epoch": list(self.losses_of_epoch)}


def digest_of_cases(task: TrainingTask) -> str:
    """The cases that are trained on and validated with, in their order, as 64 hexadecimal digits."""
    lines = [*task.training_cases, "", *task.validation_cases]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def as_many_losses(ours: Mapping[str, Any]) -> None:
    """A rule: one loss per finished iteration of the running epoch."""
    losses, iteration = ours.get("losses_of_epoch", ()), ours.get("iteration", 0)
    if len(losses) != iteration:
        raise Mismatch(f"must have {iteration} entries, one per iteration, not {len(losses)}", '"losses_of_epoch"')


def _plain(depth: int) -> Rule:
    scalar = (nothing, flag, number(), text(longest=LONGEST_VALUE))
    if depth == 0:
        return either(*scalar)
    inner = _plain(depth - 1)
    return either(
        *scalar,
        array_of(inner, longest=MOST_VALUES),
        mapping_of(inner, text(longest=LONGEST_VALUE), longest=MOST_VALUES),
    )


SECONDS = number(0, 10**9)
TIMED = record(
    {
        "progress": number(0, 1),
        "steps_left": number(0, 10**9),
        "spent_s": SECONDS,
        "left_s": SECONDS,
        "iterations_per_epoch": whole(1, 10**6),
    },
    others=(),
)
OURS = every(
    record(
        {},
        {
            "training": whole(0, MOST_TRAININGS),
            "iteration": whole(0, 10**9),
            "losses_of_epoch": array_of(number_or_nan),
            "seed": either(nothing, whole(0, 2**63)),
            "recipe": either(nothing, mapping_of(_plain(2), text(longest=LONGEST_VALUE), longest=MOST_VALUES)),
            "cases": either(nothing, text(r"[0-9a-f]{64}", "a digest of 64 hexadecimal digits")),
            "number_format": either(nothing, NUMBER_FORMAT),
            "timed": either(nothing, TIMED),
        },
    ),
    as_many_losses,
)
"""The rule of the entry `segautoplan`; what else stands in it is for people."""
