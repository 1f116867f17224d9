"""A new raw dataset appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError, in_sentences
from ..locks import exclusive
from ..names import safe_name


@dataclass(frozen=True)
class ImportedDataset:
    """Where the new dataset is, and what its owner should know about how it came to be."""

    folder: Path
    case_count: int
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def new_dataset(raw_root: Path | str, dataset_id: int, name: str) -> Iterator[tuple[Path, Path]]:
    """Yield (a temporary folder to build in, the folder it becomes when the block succeeds).

    Raises:
        UserInputError: the id is taken or impossible, the name has letters that file systems refuse, the
            disk is full, or the same number is being imported. Nothing is left behind.
    """
    # Absolute, so that it means the same to a worker on another computer.
    root = Path(raw_root).absolute()
    _folder_name(root, dataset_id, name)
    with (
        in_sentences(),
        exclusive(root / f".import_{dataset_id:03d}.lock", f"{root}: importing dataset {dataset_id}") as is_alone,
    ):
        # Again, because another import may have ended meanwhile.
        target = root / _folder_name(root, dataset_id, name)
        prefix = f".importing_{dataset_id:03d}_"
        for left_by_a_kill in root.glob(f"{prefix}*") if is_alone else ():
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        building = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        try:
            yield building, target
            building.chmod(0o755)
            os.replace(building, target)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _folder_name(root: Path, dataset_id: int, name: str) -> str:
    if not 1 <= dataset_id <= 999:
        raise UserInputError(f"A dataset id is a number from 1 to 999, not {dataset_id}; choose another.")
    if not re.fullmatch(r"[\w.+ -]+", name):
        raise UserInputError(f'"{name}" cannot be the name of a folder; use letters, digits, - and _.')
    taken = [entry.name for entry in root.glob(f"Dataset{dataset_id:03d}_*")] if root.is_dir() else []
    if taken:
        raise UserInputError(f"{root / taken[0]}: the dataset id {dataset_id} is taken; choose another id.")
    return safe_name(f"Dataset{dataset_id:03d}_{name}", "The name of the new dataset")
