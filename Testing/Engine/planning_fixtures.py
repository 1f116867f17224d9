"""What the planning tests share: recorded documents, and datasets without files."""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from SegAutoPlanLib.dataset.dataset import Case, Dataset
from SegAutoPlanLib.dataset_json import parse_dataset_json
from SegAutoPlanLib.fingerprint.fingerprint import Fingerprint, Intensities

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures"

NNUNET_PLANNERS = {
    "plain": "ExperimentPlanner",
    "resenc-m": "nnUNetPlannerResEncM",
    "resenc-l": "nnUNetPlannerResEncL",
    "resenc-xl": "nnUNetPlannerResEncXL",
}


def read_recorded(name: str) -> Any:
    """A file of Testing/Fixtures, see its README.md."""
    return json.loads(lzma.decompress((FIXTURES / name).read_bytes()))


def dataset_of(description: dict[str, Any], name: str = "Dataset001_Random", image_io: str = "SimpleITKIO") -> Dataset:
    """A dataset that exists only as its dataset.json."""
    return Dataset(Path(), name, parse_dataset_json(description), image_io, ())


def liver(cases: int = 131, channels: Sequence[str] = ("CT",), num_training: int | None = None) -> Dataset:
    """A dataset like LiTS: three labels, large CT."""
    description = {
        "channel_names": {str(index): name for index, name in enumerate(channels)},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": cases if num_training is None else num_training,
        "file_ending": ".nii.gz",
    }
    return Dataset(
        folder=Path("raw/Dataset003_Liver"),
        name="Dataset003_Liver",
        dataset_json=parse_dataset_json(description),
        image_io="SimpleITKIO",
        cases=tuple(Case(f"liver_{index:03d}", ()) for index in range(cases)),
    )


def fingerprint_like(
    dataset: Dataset,
    shape: tuple[int, int, int] = (432, 512, 512),
    spacing: tuple[float, float, float] = (1.0, 0.7676, 0.7676),
    relative_size: float = 1.0,
) -> Fingerprint:
    """A fingerprint in which every case of `dataset` is alike."""
    count = max(len(dataset.cases), 1)
    intensities = Intensities(500.0, 100.0, 101.0, -200.0, -50.0, 300.0, 40.0)
    return Fingerprint((spacing,) * count, (shape,) * count, (intensities,) * len(dataset.channel_names), relative_size)
