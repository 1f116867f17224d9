"""Where an attack happens: a folder with a workspace, a model, images, and things outside that nobody may touch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

DATASET = "Dataset001_Balls"
MODEL = "nnUNetTrainer__nnUNetPlans__3d_fullres"
RUN = "2026-01-01_00-00-00_train"
OUTSIDE = "outside"
LAIR = Path("far") / "down" / "here"
"""So deep that `../../..` is still inside the folder that is watched."""


@dataclass(frozen=True)
class Place:
    """The folders of one attack."""

    root: Path

    @property
    def outside(self) -> Path:
        """Nobody has any business here: an existing file and folder of every name that is worth forging."""
        return self.root / OUTSIDE

    @property
    def home(self) -> Path:
        """HOME and the working directory."""
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        return self.root / "temporary"

    @property
    def lair(self) -> Path:
        return self.root / LAIR

    @property
    def workspace(self) -> Path:
        return self.lair / "workspace"

    @property
    def raw(self) -> Path:
        return self.workspace / "raw" / DATASET

    @property
    def preprocessed(self) -> Path:
        return self.workspace / "preprocessed" / DATASET

    @property
    def results(self) -> Path:
        return self.workspace / "results" / DATASET

    @property
    def run(self) -> Path:
        return self.workspace / "runs" / RUN

    @property
    def model(self) -> Path:
        """A stranger's model folder."""
        return self.lair / "models" / DATASET / MODEL

    @property
    def fold(self) -> Path:
        return self.model / "fold_0"

    @property
    def archive(self) -> Path:
        """The model in a zip archive."""
        return self.lair / "archives" / "model.zip"

    @property
    def images(self) -> Path:
        """Images to segment."""
        return self.lair / "images"

    @property
    def output(self) -> Path:
        return self.lair / "output"

    @property
    def references(self) -> Path:
        return self.lair / "references"

    @property
    def predictions(self) -> Path:
        return self.lair / "predictions"

    @property
    def probabilities(self) -> Path:
        """Two folders, `a` and `b`, of segmentations with their probabilities."""
        return self.lair / "probabilities"

    @property
    def sources(self) -> Path:
        """What other programs left: `Task01_Balls`, `Task001_Balls`, `pairs`."""
        return self.lair / "sources"

    def named(self, text: str) -> str:
        """The text with `{model}` and the like replaced by the folder's path."""
        for name in FOLDERS:
            text = text.replace("{" + name + "}", str(getattr(self, name)))
        return text

    def path(self, text: str) -> Path:
        """A path such as `{model}/plans.json`."""
        return Path(self.named(text))

    @classmethod
    def laid_out(cls, root: Path, sound: Place, parts: tuple[str, ...]) -> Place:
        """A fresh place at `root` with those parts of a sound one that a verb needs."""
        place = cls(root)
        for folder in (place.home, place.temporary, place.lair):
            folder.mkdir(parents=True)
        for part in ("{outside}", *parts):
            source = sound.path(part)
            target = root / source.relative_to(sound.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy2(source, target)
        return place


FOLDERS = (
    "root",
    "outside",
    "home",
    "temporary",
    "lair",
    "workspace",
    "raw",
    "preprocessed",
    "results",
    "run",
    "model",
    "fold",
    "archive",
    "images",
    "output",
    "references",
    "predictions",
    "probabilities",
    "sources",
)
"""The names that may stand in braces in the tables."""
