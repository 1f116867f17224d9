"""What the panel needs to know of a trained model folder: its channels, its segments, whether it can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import read_json

from .segment_appearance import SegmentAppearance, appearances
from .volume_files import checkFileEnding

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth")


@dataclass(frozen=True)
class ModelFolder:
    """A folder `Trainer__Plans__configuration` as nnU-Net and SegAutoPlan write it."""

    path: Path
    channelNames: tuple[str, ...]
    segments: tuple[tuple[str, tuple[int, ...]], ...]
    """Name and label values of each foreground entry, in file order; regions have several values."""
    appearances: Mapping[str, SegmentAppearance]
    fileEnding: str
    folds: tuple[str, ...]
    checkpoint: str
    """The best finished of final, best, latest that every fold listed in `folds` has."""

    @classmethod
    def read(cls, path: Path | str) -> ModelFolder:
        """Read a model folder without loading its weights.

        Raises:
            UserInputError: the folder, its dataset.json, its plans.json or its weights are missing or wrong.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserInputError(f"{path}: the model folder does not exist; choose another folder.")
        for name in ("dataset.json", "plans.json"):
            if not (path / name).is_file():
                raise UserInputError(
                    f"{path}: there is no {name}, so this is not a model folder; "
                    "choose the folder that holds dataset.json, plans.json and fold_0."
                )
        source = path / "dataset.json"
        description = read_json(source)
        folds, checkpoint = _weights(path)
        segments = _segments(description, str(source))
        ending = str(description.get("file_ending", ".nii.gz"))
        checkFileEnding(ending, path)
        return cls(
            path=path,
            channelNames=_channelNames(description, str(source)),
            segments=segments,
            appearances=appearances((name for name, _ in segments), description.get("segments"), str(source)),
            fileEnding=ending,
            folds=folds,
            checkpoint=checkpoint,
        )

    @property
    def summary(self) -> str:
        """One line for the panel."""
        names = [name for name, _ in self.segments]
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        folds = f"{len(self.folds)} folds" if len(self.folds) > 1 else f"fold {self.folds[0]}"
        return f"Segments {shown} from {', '.join(self.channelNames)} ({folds})."


def _channelNames(description: dict[str, Any], source: str) -> tuple[str, ...]:
    names = description.get("channel_names", description.get("modality"))
    if not isinstance(names, dict) or sorted(names) != sorted(str(index) for index in range(len(names))) or not names:
        raise UserInputError(f'{source}: "channel_names" is missing or wrong; add e.g. {{"0": "T1"}}.')
    return tuple(str(names[str(index)]) for index in range(len(names)))


def _segments(description: dict[str, Any], source: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    # Here, because Slicer imports every module when it starts, and this one brings SimpleITK along.
    from SegAutoPlanLib.labels import LabelScheme

    entries = LabelScheme.from_dataset_json(description, source).entries
    valued = ((name, value if isinstance(value, tuple) else (value,)) for name, value in entries)
    return tuple((name, values) for name, values in valued if name != "ignore" and values != (0,))


def _weights(path: Path) -> tuple[tuple[str, ...], str]:
    folders = sorted(folder for folder in path.glob("fold_*") if folder.is_dir())
    for checkpoint in CHECKPOINTS:
        folds = tuple(folder.name[len("fold_") :] for folder in folders if (folder / checkpoint).is_file())
        # nnU-Net's "all" is a model trained on every case, not a sixth fold to average with the others.
        folds = tuple(fold for fold in folds if fold != "all") or folds
        if folds:
            return folds, checkpoint[len("checkpoint_") : -len(".pth")]
    raise UserInputError(
        f"{path}: there are no weights (fold_0/checkpoint_final.pth); train the model or choose another folder."
    )
