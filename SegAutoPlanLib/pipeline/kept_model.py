"""A model that stays loaded from one prediction to the next."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..dataset_json import DATASET_FILE
from ..models import PLANS_FILE, ModelFolder

if TYPE_CHECKING:
    from .predict import PredictOptions

Loaded = TypeVar("Loaded")

PER_CASE = ("input", "output", "save_probabilities", "previous_stage", "skip_existing", "overwrite", "part")
"""Options of `predict` for which a loaded model need not be loaded again. An option that is not listed is one."""


class KeptModel:
    """The model that was used last, never more than one."""

    def __init__(self) -> None:
        self._key: Any = None
        self._loaded: Any = None

    def get(self, key: Any, load: Callable[[], Loaded]) -> Loaded:
        """What was loaded for an equal key, or what `load` gives, before which the former one goes."""
        if key != self._key:
            self.drop()
            self._loaded = load()
            self._key = key
        return self._loaded

    def drop(self) -> None:
        """Free it."""
        if self._loaded is not None:
            self._key = self._loaded = None
            gc.collect()


def key_of(model: ModelFolder, options: PredictOptions) -> tuple[Any, ...]:
    """Equal for two predictions that can share what was loaded: by the same options, from files unchanged since."""
    chosen = {field.name: getattr(options, field.name) for field in fields(options) if field.name not in PER_CASE}
    checkpoints = model.checkpoint_files(options.folds, options.checkpoint)
    files = (model.path / PLANS_FILE, model.path / DATASET_FILE, *checkpoints.values())
    return (*sorted((name, repr(value)) for name, value in chosen.items()), *map(_stamp, files))


def _stamp(file: Path) -> tuple[str, int, int]:
    found = file.stat()
    return str(file.resolve()), found.st_size, found.st_mtime_ns
