"""What a raw dataset is: its description and its cases, in nnU-Net's layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..images.image_size import ImageSize, largest_image
from ..labels import LabelScheme


@dataclass(frozen=True)
class Case:
    """One patient or image: a file per channel, in channel order, and (in training sets) a label file."""

    identifier: str
    image_files: tuple[Path, ...]
    label_file: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """A raw dataset: what dataset.json says and which cases there are (sorted by identifier)."""

    folder: Path
    name: str
    channel_names: tuple[str, ...]
    label_scheme: LabelScheme
    file_ending: str
    image_io: str
    """nnU-Net's name of the reader, e.g. `SimpleITKIO`."""
    num_training: int
    """`numTraining` as dataset.json states it: the planner uses this, not the number of files."""
    cases: tuple[Case, ...]
    dataset_json: dict[str, Any]
    """dataset.json as it stands, key order kept."""

    def without_cases(self) -> Dataset:
        """What the work on one case needs to know, small enough to go with every task to another process."""
        return replace(self, cases=(), dataset_json={})

    def largest_case(self) -> ImageSize:
        """By the headers of the largest files."""
        return largest_image((case.image_files[0] for case in self.cases), len(self.channel_names))
