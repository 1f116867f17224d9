"""A model that stays loaded from one prediction to the next."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset_json import DATASET_FILE
from ..models import PLANS_FILE, ModelFolder
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..inference.ensemble import Ensemble
    from .predict import PredictOptions


class KeptModel:
    """The model (or models that are averaged) that was used last, never more than one."""

    def __init__(self) -> None:
        self._key: Any = None
        self._loaded: Ensemble | None = None
        self._first_stages: frozenset[tuple[str, int, int]] = frozenset()

    def get(self, key: Any, load: Callable[[], Ensemble]) -> Ensemble:
        """What was loaded for an equal key, or what `load` gives, before which the former one goes."""
        if self._loaded is None or key != self._key or self._first_stages != _stamps(_first_stages(self._loaded)):
            self.drop()
            self._loaded = load()
            self._key = key
            self._first_stages = _stamps(_first_stages(self._loaded))
        return self._loaded

    def drop(self) -> None:
        """Free it."""
        if self._loaded is not None:
            self._key = self._loaded = None
            gc.collect()


def key_of(models: Sequence[ModelFolder], workspace: Workspace, options: PredictOptions) -> tuple[Any, ...]:
    """Equal for two predictions that can share what was loaded: by the same options, from files unchanged since."""
    files: list[Path] = []
    for model in models:
        files += [model.path / PLANS_FILE, model.path / DATASET_FILE]
        files += model.checkpoint_files(options.folds, options.checkpoint).values()
    chosen = sorted((name, repr(value)) for name, value in options.networks.items())
    return (workspace.formats_file, *chosen, *(str(model.path) for model in models), _stamps(files))


def _first_stages(loaded: Ensemble) -> list[Path]:
    """The files of the models that only loading has found; with their folders, in which another fold may appear."""
    files: list[Path] = []
    for member in loaded.members:
        for segmenter in member.segmenters[:-1]:
            found = segmenter.model
            files += [found.files.path, found.files.path / PLANS_FILE, found.files.path / DATASET_FILE]
            files += found.checkpoints
    return files


def _stamps(files: Sequence[Path]) -> frozenset[tuple[str, int, int]]:
    stamps = set()
    for file in files:
        try:
            found = file.stat()
        except FileNotFoundError:
            stamps.add((str(file), 0, 0))
        else:
            stamps.add((str(file.resolve()), found.st_size, found.st_mtime_ns))
    return frozenset(stamps)
