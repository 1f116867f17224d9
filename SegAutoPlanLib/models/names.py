"""The names of a model's folders and files, nnU-Net's, written down once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..names import file_name
from ..schema import Mismatch, problem_of, shown

PLANS_FILE = "plans.json"
FINGERPRINT_FILE = "dataset_fingerprint.json"
VALIDATION_FOLDER = "validation"
NEXT_STAGE_FOLDER = "predicted_next_stage"
SUMMARY_FILE = "summary.json"
CHECKPOINTS = ("final", "best", "latest")
"""A finished training, the best epoch so far by its moving Dice, and where a stopped training goes on; best first."""
SEPARATOR = "__"
FOLD_PREFIX = "fold_"
ALL_CASES = "all"
"""nnU-Net's name of the fold that trains on every case: no sixth fold to average with the others."""
HIGHEST_FOLD = 10**6


def name_part(value: Any) -> None:
    """A rule (see `schema`): the name of a trainer, of plans or of a configuration, from which a folder is named."""
    file_name(value)
    if SEPARATOR in value or value != value.strip("_"):
        raise Mismatch(f"must not hold {SEPARATOR}, or begin or end with _, which separates them, not {shown(value)}")


@dataclass(frozen=True)
class ModelName:
    """The three parts of `nnUNetTrainer__nnUNetPlans__3d_fullres`."""

    trainer: str
    plans: str
    configuration: str

    def __post_init__(self) -> None:
        for what, part in vars(self).items():
            problem = problem_of(name_part, part)
            if problem is not None:
                raise UserInputError(f"The name of the {what} cannot be a part of a model's, because it {problem}.")

    def __str__(self) -> str:
        return SEPARATOR.join((self.trainer, self.plans, self.configuration))

    @classmethod
    def parse(cls, folder_name: str) -> ModelName | None:
        """The parts of a folder's name; None where it was renamed to something else."""
        parts = folder_name.split(SEPARATOR)
        return cls(*parts) if len(parts) == 3 and all(problem_of(name_part, part) is None for part in parts) else None


def fold_of(value: int | str) -> int | str:
    """The fold as a number, or `all`.

    Raises:
        UserInputError: it is neither.
    """
    if value == ALL_CASES:
        return ALL_CASES
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch("[0-9]{1,7}", text) or int(text) > HIGHEST_FOLD:
        raise UserInputError(f'The fold {shown(value)} is neither a number from 0 to {HIGHEST_FOLD:,} nor "all".')
    return int(text)


def folds_to_average(folds: Sequence[int | str]) -> tuple[int | str, ...]:
    """Numbers of folds, each once, or `all` alone.

    Raises:
        UserInputError: something else.
    """
    chosen = tuple(dict.fromkeys(fold_of(fold) for fold in folds))
    if ALL_CASES in chosen and len(chosen) > 1:
        raise UserInputError(f'--folds {" ".join(map(str, chosen))}: "all" is not averaged with others; give it alone.')
    return chosen


def fold_of_folder(name: str) -> int | str | None:
    """The fold that a folder of this name is; None if it is none (`fold_0_old`)."""
    text = name.removeprefix(FOLD_PREFIX)
    if text == name:
        return None
    is_number = re.fullmatch("0|[1-9][0-9]{0,6}", text) and int(text) <= HIGHEST_FOLD
    return int(text) if is_number else (ALL_CASES if text == ALL_CASES else None)


def fold_path(model: Path, fold: int | str) -> Path:
    """The folder of a fold: a number, or `all`."""
    return model / f"{FOLD_PREFIX}{fold}"


def checkpoint_path(fold: Path, checkpoint: str) -> Path:
    """The file of a checkpoint (`final`, `best` or `latest`) in the folder of its fold."""
    return fold / f"checkpoint_{checkpoint}.pth"


def next_stage_path(model: Path, configuration: str) -> Path:
    """Where a cascade's first stage leaves its labels for the second stage of that name."""
    return model / NEXT_STAGE_FOLDER / configuration
