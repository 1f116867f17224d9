"""What a raw dataset is: its description and its cases, in nnU-Net's layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..dataset_json import DatasetJson
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
    dataset_json: DatasetJson
    image_io: str
    """nnU-Net's name of the reader, e.g. `SimpleITKIO`."""
    cases: tuple[Case, ...]

    @property
    def channel_names(self) -> tuple[str, ...]:
        return self.dataset_json.channel_names

    @property
    def label_scheme(self) -> LabelScheme:
        return self.dataset_json.label_scheme

    @property
    def file_ending(self) -> str:
        return self.dataset_json.file_ending

    @property
    def num_training(self) -> int:
        """`numTraining` as dataset.json states it: the planner uses this, not the number of files."""
        return self.dataset_json.document["numTraining"]

    def without_cases(self) -> Dataset:
        """What the work on one case needs to know, small enough to go with every task to another process."""
        return replace(self, cases=(), dataset_json=replace(self.dataset_json, document={}))

    def largest_case(self) -> ImageSize:
        """By the headers of the largest files."""
        return largest_image((case.image_files[0] for case in self.cases), len(self.channel_names))
