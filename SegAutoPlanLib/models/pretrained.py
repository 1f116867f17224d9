"""The checkpoint that somebody means by a file, a fold's folder or a model's, and what is known of its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..dataset_json import DATASET_FILE
from ..errors import FileError, in_sentences
from ..labels import LabelScheme
from .model_folder import ModelFolder
from .names import CHECKPOINTS, PLANS_FILE, checkpoint_path, fold_of_folder

A_MODEL = "choose a checkpoint, or a fold or a model that has one"


@dataclass(frozen=True)
class PretrainedModel:
    """A network to start from, known by its names and shapes; its weights are still in the file."""

    checkpoint: Path
    channel_names: tuple[str, ...] | None
    """None where nobody said."""
    label_scheme: LabelScheme | None
    """None where nobody said."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of each tensor, once, by our names."""


@dataclass(frozen=True)
class ChosenCheckpoint:
    """A checkpoint, and the model folder that it belongs to if it lies in one."""

    path: Path
    model: ModelFolder | None = None
    fold: str = ""
    name: str = ""
    """Of CHECKPOINTS."""


@in_sentences()
def choose_checkpoint(path: Path) -> ChosenCheckpoint:
    """The checkpoint to start from.

    Of a model folder the first fold that is finished, else the first that has a checkpoint; of a fold `final`, else
    `best`, else `latest`.

    Raises:
        UserInputError: a folder in which there is no model, or whose files are wrong.
    """
    if path.is_dir():
        return _of_fold(path) if fold_of_folder(path.name) is not None else _of_model(path)
    model = path.parent.parent
    fold = fold_of_folder(path.parent.name)
    named = next((name for name in CHECKPOINTS if path == checkpoint_path(path.parent, name)), None)
    if fold is None or named is None or not path.is_file() or not _is_model(model):
        return ChosenCheckpoint(path)
    return ChosenCheckpoint(path, ModelFolder.read(model), str(fold), named)


def _of_model(folder: Path) -> ChosenCheckpoint:
    model = ModelFolder.read(folder)
    name = model.best_checkpoint
    fold = next(fold for fold in model.folds if name in fold.checkpoints)
    return ChosenCheckpoint(checkpoint_path(fold.path, name), model, fold.name, name)


def _of_fold(folder: Path) -> ChosenCheckpoint:
    for name in CHECKPOINTS:
        if checkpoint_path(folder, name).is_file():
            return choose_checkpoint(checkpoint_path(folder, name))
    raise FileError(folder, "holds no checkpoint", A_MODEL)


def _is_model(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (DATASET_FILE, PLANS_FILE))
