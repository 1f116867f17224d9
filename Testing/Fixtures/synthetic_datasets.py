"""Tiny raw datasets in nnU-Net's layout, made from a seed: the same for nnU-Net's recorder and for our tests.

Each stands for one way in which datasets differ. Voxel values come from numpy's legacy `RandomState`; files are
written with SimpleITK, so that both sides read the very same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk


@dataclass(frozen=True)
class SyntheticDataset:
    """A recipe; sizes and spacings are those of the first case, z, y, x; later cases vary around them."""

    name: str
    channels: tuple[str, ...]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    labels: dict[str, Any] = field(default_factory=lambda: {"background": 0, "ball": 1, "core": 2})
    regions_class_order: tuple[int, ...] | None = None
    file_ending: str = ".nii.gz"
    cases: int = 3
    empty_border: int = 0
    """Voxels of zeros around the image, which cropping removes."""
    spacing_varies: bool = False


SYNTHETIC_DATASETS = {
    dataset.name: dataset
    for dataset in (
        SyntheticDataset("Dataset901_Isotropic", ("MRI",), (20, 24, 22), (1.0, 1.0, 1.0), spacing_varies=True),
        SyntheticDataset("Dataset902_Cropped", ("T1",), (26, 30, 28), (1.0, 0.9, 0.9), empty_border=6),
        SyntheticDataset("Dataset903_ThickSlices", ("MRI",), (8, 40, 36), (5.0, 0.8, 0.8), spacing_varies=True),
        SyntheticDataset("Dataset904_Transposed", ("MRI",), (30, 34, 10), (0.9, 0.9, 4.0), spacing_varies=True),
        SyntheticDataset("Dataset905_CTandPET", ("CT", "PET"), (16, 22, 24), (3.0, 1.2, 1.2), spacing_varies=True),
        SyntheticDataset(
            "Dataset906_Regions",
            ("noNorm", "rescale_to_0_1"),
            (18, 20, 20),
            (1.5, 1.0, 1.0),
            labels={"background": 0, "whole": [1, 2], "core": [2], "ignore": 3},
            regions_class_order=(1, 2),
            spacing_varies=True,
        ),
        SyntheticDataset("Dataset907_GrayPNG", ("SEM",), (1, 48, 40), (999.0, 1.0, 1.0), file_ending=".png"),
        SyntheticDataset(
            "Dataset908_ColourPNG", ("rgb_to_0_1",) * 3, (1, 40, 44), (999.0, 1.0, 1.0), file_ending=".png"
        ),
        SyntheticDataset("Dataset909_FlatNIfTI", ("XRay",), (1, 52, 44), (1.0, 0.5, 0.5), spacing_varies=True),
        SyntheticDataset("Dataset910_OneCase", ("MRI",), (12, 14, 13), (1.0, 1.0, 1.0), cases=1),
    )
}


def write_synthetic_dataset(name: str, raw_root: Path) -> Path:
    """Write the dataset below `raw_root` and return its folder."""
    recipe = SYNTHETIC_DATASETS[name]
    folder = Path(raw_root) / name
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in range(recipe.cases):
        _write_case(recipe, index, folder)
    description = {
        "channel_names": {str(number): channel for number, channel in enumerate(recipe.channels)},
        "labels": recipe.labels,
        "numTraining": recipe.cases,
        "file_ending": recipe.file_ending,
    }
    if recipe.regions_class_order:
        description["regions_class_order"] = list(recipe.regions_class_order)
    (folder / "dataset.json").write_text(json.dumps(description, indent=1))
    return folder


def _write_case(recipe: SyntheticDataset, index: int, folder: Path) -> None:
    random = np.random.RandomState(int(recipe.name[7:10]) * 100 + index)
    flat = recipe.shape[0] == 1
    shape = tuple(edge if flat and axis == 0 else edge + 2 * index for axis, edge in enumerate(recipe.shape))
    grow = 1 + 0.15 * index if recipe.spacing_varies else 1
    spacing = tuple(round(step * grow, 3) for step in recipe.spacing)
    inside = _ball(shape, 0.75), _ball(shape, 0.35)
    segmentation = inside[0].astype(np.uint8) + inside[1]
    if "ignore" in recipe.labels:
        segmentation[:, : shape[1] // 5] = recipe.labels["ignore"]
    identifier = f"case_{index:02d}"
    images = [_intensities(random, inside, recipe, channel) for channel in range(len(recipe.channels))]
    _write(recipe, folder / "labelsTr" / f"{identifier}{recipe.file_ending}", segmentation, spacing)
    if recipe.name == "Dataset908_ColourPNG":
        images = [np.stack(images, axis=-1)]
    for channel, image in enumerate(images):
        _write(recipe, folder / "imagesTr" / f"{identifier}_{channel:04d}{recipe.file_ending}", image, spacing)


def _ball(shape: tuple[int, ...], radius: float) -> np.ndarray:
    """A solid ellipsoid slightly off the middle; `radius` relative to half the image."""
    axes = np.ogrid[tuple(slice(-1, 1, edge * 1j) if edge > 1 else slice(0, 1) for edge in shape)]
    return sum((axis - 0.07 * number) ** 2 for number, axis in enumerate(axes)) <= radius**2


def _intensities(
    random: np.random.RandomState, inside: tuple[np.ndarray, np.ndarray], recipe: SyntheticDataset, channel: int
) -> np.ndarray:
    noise = random.normal(0, 8, inside[0].shape)
    image = 90 + 70 * inside[0] - 40 * inside[1] * (channel + 1) + noise
    if recipe.file_ending == ".png":
        return np.round(np.clip(image, 0, 255)).astype(np.uint8)
    if recipe.channels[channel] == "CT":
        return np.round(image * 4 - 600).astype(np.int16)
    if recipe.empty_border:
        border = np.zeros(image.shape, bool)
        border[(slice(recipe.empty_border, -recipe.empty_border),) * 3] = True
        image = np.where(border | inside[1], image, 0)
    return image.astype(np.float32)


def _write(recipe: SyntheticDataset, path: Path, array: np.ndarray, spacing: tuple[float, ...]) -> None:
    if recipe.file_ending == ".png":
        colour = array.ndim == 4
        sitk.WriteImage(sitk.GetImageFromArray(array[0], isVector=colour), str(path))
        return
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(tuple(reversed(spacing)))
    image.SetOrigin((-11.0, 7.5, 3.25))
    sitk.WriteImage(image, str(path), useCompression=True)
