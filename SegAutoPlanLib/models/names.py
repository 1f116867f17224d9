"""The names of a model's folders and files, nnU-Net's, written down once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PLANS_FILE = "plans.json"
FINGERPRINT_FILE = "dataset_fingerprint.json"
VALIDATION_FOLDER = "validation"
SUMMARY_FILE = "summary.json"
CHECKPOINTS = ("final", "best", "latest")
"""A finished training, the best epoch so far by its moving Dice, and where a stopped training goes on; best first."""
SEPARATOR = "__"
FOLD_PREFIX = "fold_"


@dataclass(frozen=True)
class ModelName:
    """The three parts of `nnUNetTrainer__nnUNetPlans__3d_fullres`."""

    trainer: str
    plans: str
    configuration: str

    def __str__(self) -> str:
        return SEPARATOR.join((self.trainer, self.plans, self.configuration))

    @classmethod
    def parse(cls, folder_name: str) -> ModelName | None:
        """The parts of a folder's name; None where it was renamed to something else."""
        parts = folder_name.split(SEPARATOR)
        return cls(*parts) if len(parts) == 3 and all(parts) else None


def fold_path(model: Path, fold: int | str) -> Path:
    """The folder of a fold: a number, or `all`."""
    return model / f"{FOLD_PREFIX}{fold}"


def checkpoint_path(fold: Path, checkpoint: str) -> Path:
    """The file of a checkpoint (`final`, `best` or `latest`) in the folder of its fold."""
    return fold / f"checkpoint_{checkpoint}.pth"
