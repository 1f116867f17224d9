"""A trained model as it lies on the disk, looked at without its weights."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset_json import DATASET_FILE, Appearance, DatasetJson, read_dataset_json
from ..errors import UserInputError, in_sentences
from ..files import read_json
from ..labels import LabelScheme
from .names import (
    ALL_CASES,
    CHECKPOINTS,
    FOLD_PREFIX,
    PLANS_FILE,
    SUMMARY_FILE,
    VALIDATION_FOLDER,
    ModelName,
    checkpoint_path,
    fold_of_folder,
    fold_path,
    folds_to_average,
)
from .summary import mean_dice

if TYPE_CHECKING:
    from ..planning.plan import Plan

SHOWN_NAMES = 6


@dataclass(frozen=True)
class TrainedFold:
    """What training one fold has left behind so far."""

    path: Path
    checkpoints: tuple[str, ...]
    """Those of `CHECKPOINTS` that are there, in that order."""

    @property
    def name(self) -> str:
        """The fold's number as text, or `all`."""
        return self.path.name.removeprefix(FOLD_PREFIX)

    @property
    def is_finished(self) -> bool:
        return CHECKPOINTS[0] in self.checkpoints

    def validation_dice(self) -> float | None:
        """The mean foreground Dice of the fold's validation cases; None before validation, or where it is not known.

        Raises:
            UserInputError: summary.json is there and cannot be read.
        """
        summary = self.path / VALIDATION_FOLDER / SUMMARY_FILE
        return mean_dice(read_json(summary), summary) if summary.is_file() else None


@dataclass(frozen=True)
class ModelFolder:
    """A folder `Trainer__Plans__configuration` as nnU-Net and SegAutoPlan write it."""

    path: Path
    dataset_json: DatasetJson
    folds: tuple[TrainedFold, ...]
    """Those that have a checkpoint: by number, `all` last."""

    @classmethod
    @in_sentences()
    def read(cls, path: Path | str) -> ModelFolder:
        """Look at a model folder; its weights are not loaded.

        Raises:
            UserInputError: the folder, its dataset.json, its plans.json or its weights are missing or wrong.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserInputError(f"{path}: the model folder does not exist; choose another folder.")
        for name in (DATASET_FILE, PLANS_FILE):
            if not (path / name).is_file():
                raise UserInputError(
                    f"{path}: there is no {name}, so this is not a model folder; "
                    f"choose the folder that holds {DATASET_FILE}, {PLANS_FILE} and {FOLD_PREFIX}0."
                )
        folds = _folds(path)
        if not folds:
            raise UserInputError(
                f"{path}: there are no weights ({_examples('final')}); train the model or choose another folder."
            )
        return cls(path, read_dataset_json(path / DATASET_FILE), folds)

    @property
    def name(self) -> ModelName | None:
        """Trainer, plans and configuration; None where the folder was renamed."""
        return ModelName.parse(self.path.name)

    @property
    def channel_names(self) -> tuple[str, ...]:
        return self.dataset_json.channel_names

    @property
    def label_scheme(self) -> LabelScheme:
        return self.dataset_json.label_scheme

    @property
    def file_ending(self) -> str:
        return self.dataset_json.file_ending

    @functools.cached_property
    def appearances(self) -> Mapping[str, Appearance]:
        """The look of each segment, by name."""
        return self.dataset_json.appearances()

    @functools.cached_property
    def plan(self) -> Plan:
        """The plan that it was trained by.

        Raises:
            UserInputError: plans.json is no plan.
        """
        # Here, because a panel that only lists models needs no plan, and reading one brings numpy along.
        from ..planning import read_plan

        return read_plan(self.path / PLANS_FILE)

    def folds_with(self, checkpoint: str) -> tuple[str, ...]:
        """The names of the numbered folds that have the checkpoint, else `all` if that has it; none if none has."""
        having = [fold.name for fold in self.folds if checkpoint in fold.checkpoints]
        return tuple(name for name in having if name != ALL_CASES) or tuple(having)

    @property
    def best_checkpoint(self) -> str:
        """The first of final, best and latest that some fold has."""
        return next(checkpoint for checkpoint in CHECKPOINTS if self.folds_with(checkpoint))

    def checkpoint_files(self, folds: Sequence[int | str] | None = None, checkpoint: str = "final") -> dict[str, Path]:
        """The checkpoint of each fold to be averaged, by the fold's name.

        Args:
            folds: which folds (default: see `folds_with`).
            checkpoint: `final`, `best` or `latest`.

        Raises:
            UserInputError: there is no such checkpoint.
        """
        if checkpoint not in CHECKPOINTS:
            raise UserInputError(f"--checkpoint {checkpoint}: must be one of {', '.join(CHECKPOINTS)}.")
        names = [str(fold) for fold in folds_to_average(folds)] if folds else self.folds_with(checkpoint)
        if not names:
            raise UserInputError(
                f"{self.path}: holds no weights ({_examples(checkpoint)}); "
                "train a fold first or choose another checkpoint."
            )
        return {name: checkpoint_path(fold_path(self.path, name), checkpoint) for name in names}

    @property
    def summary(self) -> str:
        """One line: what it segments, from what, with how many folds."""
        names = [name for name, _ in self.label_scheme.segments]
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        used = self.folds_with(self.best_checkpoint)
        folds = f"{len(used)} folds" if len(used) > 1 else f"fold {used[0]}"
        return f"Segments {', '.join(names[:SHOWN_NAMES])}{more} from {', '.join(self.channel_names)} ({folds})."

    def __str__(self) -> str:
        return "\n".join([f"{self.path}: {self.summary}", *(f"  {_in_words(fold)}" for fold in self.folds)])

    def to_json(self) -> dict[str, Any]:
        """What a program may want to know of the model."""
        return {
            "path": str(self.path),
            "name": vars(self.name) if self.name else None,
            "channels": list(self.channel_names),
            "segments": {name: list(values) for name, values in self.label_scheme.segments},
            "file_ending": self.file_ending,
            "folds": {
                fold.name: {"checkpoints": list(fold.checkpoints), "validation_dice": fold.validation_dice()}
                for fold in self.folds
            },
        }


def find_models(results: Path | str) -> list[ModelFolder]:
    """The readable models below a results folder (`results/DatasetXXX_Name/Trainer__Plans__configuration`), by path.

    Folders of trainings that have written no checkpoint yet, and whatever else lies there, are passed over.
    """
    found = []
    for plans in sorted(Path(results).glob(f"*/*/{PLANS_FILE}")):
        try:
            found.append(ModelFolder.read(plans.parent))
        except UserInputError:
            # A list shows what can be used; whoever opens the folder itself is told what is wrong.
            continue
    return found


def _folds(path: Path) -> tuple[TrainedFold, ...]:
    found = {}
    for folder in path.glob(f"{FOLD_PREFIX}*"):
        fold = fold_of_folder(folder.name)
        present = tuple(checkpoint for checkpoint in CHECKPOINTS if checkpoint_path(folder, checkpoint).is_file())
        if fold is not None and present:
            found[fold] = TrainedFold(folder, present)
    return tuple(found[fold] for fold in sorted(found, key=lambda fold: (fold == ALL_CASES, fold)))


def _examples(checkpoint: str) -> str:
    example = checkpoint_path(fold_path(Path(), 0), checkpoint)
    return f"e.g. {example.as_posix()}"


def _in_words(fold: TrainedFold) -> str:
    dice = fold.validation_dice()
    state = "finished" if fold.is_finished else f"unfinished, has {', '.join(fold.checkpoints)}"
    return f"fold {fold.name}: {state}" + (f", mean validation Dice {dice:.3f}" if dice is not None else "")
