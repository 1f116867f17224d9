"""Random planning problems: the same ones for whoever records what nnU-Net plans and for whoever tests ours.

Everything is drawn from numpy's legacy `RandomState`, whose streams do not change between versions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

RANDOM_COUNT = 640
KINDS = (
    "isotropic",
    "thick_slices",
    "transposed",
    "tiny",
    "huge",
    "many_channels",
    "many_labels",
    "regions_and_ignore",
    "mixed_spacings",
    "two_dimensional",
    "two_dimensional_nifti",
    "odd_axis",
    "few_cases",
    "options",
    "pathological",
    "anything",
)


NAMED = {
    # name: (median shape, spacing in mm, cases, labels with background)
    "hippocampus": ((36, 50, 35), (1, 1, 1), 260, 3),
    "liver": ((432, 512, 512), (1, 0.7676, 0.7676), 131, 3),
    "heart cine": ((10, 256, 216), (10, 1.5625, 1.5625), 200, 4),
    "prostate": ((20, 320, 319), (3.6, 0.625, 0.625), 32, 3),
    "brain tumour": ((140, 171, 136), (1, 1, 1), 484, 4),
    "whole body, 118 labels": ((250, 220, 310), (1.5, 1.5, 1.5), 1228, 118),
    "micro CT": ((2000, 2000, 2000), (0.01, 0.01, 0.01), 6, 2),
    "whole slide": ((1, 40000, 30000), (999, 1, 1), 12, 4),
    "photographs": ((1, 600, 512), (999, 1, 1), 100, 2),
    "a single slice along x": ((512, 512, 1), (1, 1, 1), 30, 2),
    "a large single slice along y": ((3000, 1, 3000), (0.5, 0.5, 0.5), 30, 2),
    "a large single slice along x": ((4000, 4000, 1), (0.5, 0.5, 0.5), 30, 2),
    "two slices": ((2, 6000, 6000), (0.5, 0.5, 0.5), 30, 2),
    "two large slices along x": ((9000, 9000, 2), (0.5, 0.5, 0.5), 30, 2),
    "two voxels": ((2, 1, 1), (1, 1, 1), 7, 2),
    "one voxel": ((1, 1, 1), (1, 1, 1), 7, 2),
    "eight voxels cubed": ((8, 8, 8), (1, 1, 1), 7, 2),
    "a long strip": ((1, 16, 400000), (999, 1, 1), 9, 2),
    "a long thin strip": ((1, 8, 3000000), (1, 30, 0.001), 9, 2),
    "a long rod": ((12, 12, 60000), (4, 4, 0.01), 9, 2),
}
"""Datasets that people know, and shapes that break arithmetic; every case alike."""
PROBLEM_COUNT = RANDOM_COUNT + len(NAMED)


@dataclass(frozen=True)
class PlanningProblem:
    """What a planner is given."""

    index: int
    kind: str
    fingerprint: dict[str, Any]
    """The content of dataset_fingerprint.json."""
    description: dict[str, Any]
    """The content of dataset.json."""
    gpu_memory_gb: float | None = None
    target_spacing: tuple[float, float, float] | None = None
    plans_name: str | None = None


def planning_problem(index: int) -> PlanningProblem:
    """The `index`-th problem: random ones, whose kinds take turns, then the named ones."""
    if index >= RANDOM_COUNT:
        return _named_problem(index)
    kind = KINDS[index % len(KINDS)]
    random = np.random.RandomState(20_000 + index)
    cases = round(math.exp(random.uniform(0, math.log(400))))
    if kind == "few_cases":
        cases = random.randint(1, 5)
    shapes, spacings = _grids(kind, random, cases)
    channels = _channels(kind, random)
    description = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        **_labels(kind, random),
        "numTraining": cases if random.rand() < 0.9 else int(random.randint(1, 1000)),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    return PlanningProblem(
        index, kind, _fingerprint(random, shapes, spacings, len(channels)), description, **_options(kind, random)
    )


def _named_problem(index: int) -> PlanningProblem:
    name, (shape, spacing, cases, labels) = list(NAMED.items())[index - RANDOM_COUNT]
    random = np.random.RandomState(20_000 + index)
    fingerprint = _fingerprint(
        random, np.tile(np.array(shape), (cases, 1)), np.tile(np.array(spacing, float), (cases, 1)), 1
    )
    description = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0} | {f"structure {value}": value for value in range(1, labels)},
        "numTraining": cases,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    return PlanningProblem(index, name, fingerprint, description)


def _grids(kind: str, random: np.random.RandomState, cases: int) -> tuple[np.ndarray, np.ndarray]:
    """Shapes (voxels) and spacings (mm), (cases, 3) each, axes z, y, x."""
    shape, spacing = _typical_grid(kind, random)
    wobble = random.choice([0.0, 0.02, 0.2])
    shapes = np.maximum(1, np.round(shape * random.uniform(1 - wobble, 1 + wobble, (cases, 3))).astype(int))
    spacings = np.tile(spacing, (cases, 1))
    if kind in ("mixed_spacings", "thick_slices", "anything") or random.rand() < 0.3:
        spacings *= random.choice([0.5, 0.8, 1.0, 1.0, 1.0, 1.6, 3.0], (cases, 3))
    if kind in ("two_dimensional", "two_dimensional_nifti"):
        shapes[:, 0] = 1
        spacings[:, 0] = 999 if kind == "two_dimensional" else spacings[:, 1:].max(axis=1) * 999
        if kind == "two_dimensional":
            spacings[:, 1:] = 1
    if kind == "odd_axis":
        shapes[:, random.randint(1, 3)] = random.choice([1, 1, 2])
    return shapes, np.round(spacings, random.choice([1, 3, 12])).clip(0.01)


def _typical_grid(kind: str, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    def edges(low: float, high: float, count: int = 3) -> np.ndarray:
        return np.exp(random.uniform(math.log(low), math.log(high), count))

    if kind in ("two_dimensional", "two_dimensional_nifti"):
        return np.array([1, *edges(24, 4000, 2)]), np.array([1, *np.repeat(edges(0.05, 3, 1), 2)])
    if kind in ("thick_slices", "transposed"):
        slices, inplane, pixel = edges(4, 80, 1), edges(100, 640, 1), edges(0.3, 1.5, 1)
        order = [0, 1, 2] if kind == "thick_slices" else list(random.permutation(3))
        shape = np.concatenate([slices, inplane, inplane * random.choice([1, 1, 0.8])])
        spacing = np.concatenate([pixel * edges(1.5, 12, 1), pixel, pixel])
        return shape[order], spacing[order]
    if kind == "tiny":
        return edges(1, 24), edges(0.5, 2)
    if kind == "huge":
        return edges(300, 2500), np.repeat(edges(0.05, 1, 1), 3)
    if kind in ("pathological", "anything"):
        return edges(1, 1500), edges(0.02, 20)
    if kind == "isotropic":
        return np.round(edges(30, 400)), np.repeat(np.round(edges(0.5, 2, 1), 1), 3)
    return edges(20, 600), edges(0.4, 4)


def _channels(kind: str, random: np.random.RandomState) -> list[str]:
    names = ["CT", "ct", "MRI", "T1", "noNorm", "zscore", "rescale_to_0_1", "rgb_to_0_1", "PET", "Ct "]
    count = random.randint(8, 24) if kind == "many_channels" else random.randint(1, 5)
    return [str(random.choice(names)) for _ in range(count)]


def _labels(kind: str, random: np.random.RandomState) -> dict[str, Any]:
    count = random.randint(20, 120) if kind == "many_labels" else random.randint(1, 6)
    labels: dict[str, Any] = {"background": 0} | {f"structure {value}": value for value in range(1, count + 1)}
    if kind != "regions_and_ignore":
        return {"labels": labels}
    result: dict[str, Any] = {"labels": labels}
    if random.rand() < 0.7:
        whole = list(range(1, count + 1))
        labels = {"background": 0, "whole": whole, **{f"part {v}": whole[v:] for v in range(1, count)}}
        result = {"labels": labels, "regions_class_order": whole}
    if random.rand() < 0.7:
        labels["ignore"] = count + 1
    return result


def _fingerprint(
    random: np.random.RandomState, shapes: np.ndarray, spacings: np.ndarray, channels: int
) -> dict[str, Any]:
    names = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")
    intensities = {
        str(channel): {name: float(np.round(random.uniform(-1000, 1000), 3)) for name in names}
        for channel in range(channels)
    }
    return {
        "foreground_intensity_properties_per_channel": dict(sorted(intensities.items())),
        "median_relative_size_after_cropping": float(random.choice([1.0, 0.9, 0.75, 0.7499, 0.3])),
        "shapes_after_crop": shapes.tolist(),
        "spacings": spacings.tolist(),
    }


def _options(kind: str, random: np.random.RandomState) -> dict[str, Any]:
    if kind not in ("options", "pathological"):
        return {}
    options: dict[str, Any] = {"gpu_memory_gb": float(random.choice([2.0, 4, 6.5, 11, 16, 48, 80]))}
    if random.rand() < 0.6:
        options["target_spacing"] = tuple(np.round(random.uniform(0.4, 4, 3), 2).tolist())
    if random.rand() < 0.5:
        options["plans_name"] = str(random.choice(["nnUNetPlans", "myPlans"]))
    return options
