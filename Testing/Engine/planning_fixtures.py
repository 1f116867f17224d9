"""What the planning tests share: recorded documents, and datasets without files."""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from SegAutoPlanLib.dataset.dataset import Case, Dataset
from SegAutoPlanLib.fingerprint.fingerprint import Fingerprint, Intensities
from SegAutoPlanLib.labels import LabelScheme

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
    return Dataset(
        folder=Path(),
        name=name,
        channel_names=tuple(description["channel_names"].values()),
        label_scheme=LabelScheme.from_dataset_json(description),
        file_ending=description["file_ending"],
        image_io=image_io,
        num_training=description["numTraining"],
        cases=(),
        dataset_json=description,
    )


def liver(cases: int = 131, channels: Sequence[str] = ("CT",), num_training: int | None = None) -> Dataset:
    """A dataset like LiTS: three labels, large CT."""
    return Dataset(
        folder=Path("raw/Dataset003_Liver"),
        name="Dataset003_Liver",
        channel_names=tuple(channels),
        label_scheme=LabelScheme((("background", 0), ("liver", 1), ("tumour", 2))),
        file_ending=".nii.gz",
        image_io="SimpleITKIO",
        num_training=cases if num_training is None else num_training,
        cases=tuple(Case(f"liver_{index:03d}", ()) for index in range(cases)),
        dataset_json={},
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
