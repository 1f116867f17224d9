"""Small raw datasets on disk, for the tests of the dataset stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

OBLIQUE = (0.96, 0.28, 0.0, -0.28, 0.96, 0.0, 0.0, 0.0, 1.0)


def sitk_image(
    array: np.ndarray,
    spacing: Sequence[float] | None = None,
    origin: Sequence[float] | None = None,
    direction: Sequence[float] | None = None,
) -> sitk.Image:
    """An image of `array` (z, y, x) with geometry in SimpleITK's order."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing or (0.5, 0.75, 2.0)[: image.GetDimension()])
    image.SetOrigin(origin or (10.0, -20.0, 30.0)[: image.GetDimension()])
    if direction is not None:
        image.SetDirection(direction)
    return image


def write_image(array: np.ndarray, path: Path, **geometry: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk_image(array, **geometry), str(path), True)
    return path


def voxels(seed: int, shape: Sequence[int] = (6, 8, 10)) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.int16)


def labels(shape: Sequence[int] = (6, 8, 10), values: Sequence[int] = (1, 2)) -> np.ndarray:
    array = np.zeros(shape, np.uint8)
    for number, value in enumerate(values):
        array[..., 2 + number] = value
    return array


def write_description(folder: Path, **changes: Any) -> dict[str, Any]:
    """A dataset.json with two labels and one channel; a change to None removes the key."""
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": 5,
        "file_ending": ".nii.gz",
        **changes,
    }
    description = {key: value for key, value in description.items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return description


def write_raw_dataset(folder: Path, identifiers: Sequence[str] | int = 5, **changes: Any) -> Path:
    """A sound dataset: random images, two structures, one geometry."""
    if isinstance(identifiers, int):
        identifiers = [f"case_{number:03d}" for number in range(identifiers)]
    description = write_description(folder, **{"numTraining": len(identifiers), **changes})
    ending = description["file_ending"]
    for seed, identifier in enumerate(identifiers):
        for channel in range(len(description.get("channel_names", description.get("modality")))):
            write_image(voxels(100 * channel + seed), folder / "imagesTr" / f"{identifier}_{channel:04d}{ending}")
        write_image(labels(), folder / "labelsTr" / f"{identifier}{ending}")
    return folder
