"""Where things are: raw/, preprocessed/, results/ and runs/ of one workspace."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from .dataset_json import DATASET_FILE
from .errors import UserInputError
from .names import safe_name

DATASET_NAME = re.compile(r"Dataset([0-9]{3})_.+")
NUMBER = re.compile(r"[0-9]{1,9}")
FORMATS_FILE = "number_formats.json"
"""What networks compute fastest in on this machine."""


@dataclass(frozen=True)
class Workspace:
    """The four folders that every verb works in; nnU-Net's layout in the first three."""

    raw: Path
    preprocessed: Path
    results: Path
    runs: Path

    @classmethod
    def at(cls, root: Path | str) -> Workspace:
        root = Path(root)
        return cls(root / "raw", root / "preprocessed", root / "results", root / "runs")

    @classmethod
    def locate(cls, root: Path | str | None = None) -> Workspace:
        """The given root, else $SEGAUTOPLAN_WORKSPACE, else ./workspace; nnU-Net's variables override parts of
        the last two, so that an existing nnU-Net installation is found as it is."""
        if root is not None:
            return cls.at(root)
        default = cls.at(os.environ.get("SEGAUTOPLAN_WORKSPACE") or "workspace")

        def part(variable: str, fallback: Path) -> Path:
            value = os.environ.get(variable)
            return Path(value) if value else fallback

        return cls(
            part("nnUNet_raw", default.raw),
            part("nnUNet_preprocessed", default.preprocessed),
            part("nnUNet_results", default.results),
            default.runs,
        )

    @property
    def formats_file(self) -> Path:
        """Where number formats of models that belong to no dataset are remembered: in the workspace if there is one.

        Segmenting needs none; then it is where the user's programs keep what they can make again.
        """
        is_there = any(folder.is_dir() for folder in (self.raw, self.preprocessed, self.results, self.runs))
        return (self.runs.parent if is_there else cache_folder() / "segautoplan") / FORMATS_FILE

    def dataset_name(self, dataset: str | int | Path) -> str:
        """The `DatasetXXX_Name` that an id (4), a name, or a path to a raw dataset folder means.

        Raises:
            UserInputError: no dataset, or more than one, has that id.
        """
        text = str(dataset)
        if NUMBER.fullmatch(text):
            return self._name_of_id(int(text))
        name = Path(text).resolve().name if Path(text).is_dir() else Path(text).name
        if not name.startswith("Dataset"):
            raise UserInputError(
                f"{text}: a dataset is an id (4), a name (Dataset004_Hippocampus) or a path to a folder whose name "
                "is of that form; rename the folder or give another."
            )
        return safe_name(name, "The name of a dataset")

    def raw_folder(self, dataset: str | int | Path) -> Path:
        """The raw dataset folder that an id, a name or a path means (a path may lie outside the workspace)."""
        text = str(dataset)
        if not NUMBER.fullmatch(text) and (Path(text) / DATASET_FILE).is_file():
            return Path(text)
        if any(separator in text for separator in (os.sep, "/")):
            if not Path(text).is_dir():
                raise UserInputError(f"{text}: the dataset folder does not exist; check the path.")
            return Path(text)
        return self.raw / self.dataset_name(dataset)

    def _name_of_id(self, identifier: int) -> str:
        found = {
            entry.name
            for folder in (self.raw, self.preprocessed, self.results)
            if folder.is_dir()
            for entry in folder.iterdir()
            if entry.is_dir() and (match := DATASET_NAME.fullmatch(entry.name)) and int(match[1]) == identifier
        }
        if len(found) == 1:
            return found.pop()
        if found:
            raise UserInputError(
                f"Dataset id {identifier} is used by {', '.join(sorted(found))}; give the full name instead of the id."
            )
        raise UserInputError(
            f"{self.raw}: no dataset with id {identifier} (a folder Dataset{identifier:03d}_NAME); "
            "check the id or give --workspace."
        )


def cache_folder() -> Path:
    """Where programs of this user keep what they can make again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
