"""What goes to nnU-Net and back in `round_trips.py`: cut-outs of real cases, and small plans of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

HIPPOCAMPUS, MR, PETCT = "Dataset004_Hippocampus", "Dataset501_STS_MR", "Dataset502_STS_PETCT"
LESIONS, AXONS = "Dataset503_MSLesion4ch", "Dataset505_AxonSEM2D"
FEATURES = [8, 16, 32, 32]
REGIONS = {"background": 0, "whole": [1, 2], "posterior": 2}


@dataclass(frozen=True)
class Row:
    """One kind of model."""

    name: str
    source: str
    """A raw dataset."""
    configuration: str = "3d_fullres"
    planner: str = "plain"
    plans: str = "nnUNetPlans"
    largest: tuple[int, ...] = (40, 96, 96)
    """Voxels (z, y, x) that are cut out about the middle of the labels."""
    steps: int = 240
    """Of the training."""
    patch: int = 24
    """At most, along each axis."""
    coarser: float = 1.0
    """The plan's spacing is made so many times as large, so that cases are resampled."""
    dataset_json: dict[str, Any] = field(default_factory=dict)
    """What is changed in it."""
    change: Callable[[sitk.Image, bool], sitk.Image] = lambda image, _: image
    """Of every image; the second argument says whether it is one of labels."""

    @property
    def dataset(self) -> str:
        return f"{self.source[:7]}{int(self.source[7:10]):03d}_{self.name.replace(' ', '').replace(',', '')}"


def permuted(image: sitk.Image, _: bool) -> sitk.Image:
    """With its coarse axis last in the array, so that a plan transposes it."""
    return sitk.PermuteAxes(image, (2, 0, 1))


def with_ignored(image: sitk.Image, is_labels: bool) -> sitk.Image:
    """Only the middle half of the slices stays annotated."""
    if not is_labels:
        return image
    array = sitk.GetArrayFromImage(image)
    quarter = len(array) // 4
    array[:quarter] = array[-quarter:] = 3
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(image)
    return changed


ROWS = (
    Row("3d_fullres", HIPPOCAMPUS),
    Row("2d", HIPPOCAMPUS, "2d", patch=32, steps=800),
    Row("3d_lowres", MR, "3d_lowres", largest=(24, 80, 80)),
    Row("cascade", MR, "3d_cascade_fullres", largest=(24, 80, 80)),
    Row("regions", HIPPOCAMPUS, dataset_json={"labels": REGIONS, "regions_class_order": [1, 2]}),
    Row(
        "ignore label",
        HIPPOCAMPUS,
        dataset_json={"labels": {"background": 0, "Anterior": 1, "Posterior": 2, "ignore": 3}},
        change=with_ignored,
        steps=600,
    ),
    Row("ResEnc", HIPPOCAMPUS, planner="resenc-m", plans="nnUNetResEncUNetMPlans", steps=600),
    Row("transposed", MR, largest=(24, 80, 80), change=permuted, coarser=1.3),
    Row("anisotropic", MR, largest=(24, 80, 80)),
    Row("anisotropic, resampled", MR, largest=(24, 80, 80), coarser=1.3),
    Row("two channels", PETCT, largest=(40, 64, 64)),
    Row("four channels", LESIONS, largest=(48, 64, 64)),
    Row("2-D images", AXONS, "2d", largest=(1, 320, 320), patch=96, steps=400),
)


def make_raw(row: Row, data: Path, raw: Path, training: int = 4, testing: int = 2) -> None:
    """A raw dataset of cut-outs: the last cases go to imagesTs."""
    source = data / row.source
    document = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    ending = document["file_ending"]
    names = sorted(path.name.removesuffix(ending) for path in (source / "labelsTr").iterdir())[: training + testing]
    if len(names) < training + testing:
        testing, training = 1, len(names) - 1
    folder = raw / row.dataset
    for place, name in enumerate(names):
        labels = sitk.ReadImage(str(source / "labelsTr" / f"{name}{ending}"))
        window = about_labels(labels, row.largest)
        part = "Ts" if place >= training else "Tr"
        for channel in document["channel_names"]:
            file = f"{name}_{int(channel):04d}{ending}"
            image = sitk.ReadImage(str(source / "imagesTr" / file))
            write(row.change(image[window], False), folder / f"images{part}" / file)
        write(row.change(labels[window], True), folder / f"labels{part}" / f"{name}{ending}")
    document |= {"numTraining": training, **row.dataset_json}
    (folder / "dataset.json").write_text(json.dumps(document), encoding="utf-8")


def about_labels(labels: sitk.Image, largest: tuple[int, ...]) -> tuple[slice, ...]:
    """Where to cut, in SimpleITK's order: as much as is wanted about the middle of what is labelled."""
    inside = np.argwhere(sitk.GetArrayViewFromImage(labels))[:, ::-1]
    window = []
    for axis, size in enumerate(labels.GetSize()):
        length = min(size, largest[::-1][axis])
        start = int(np.clip(inside[:, axis].mean() - length / 2, 0, size - length))
        window.append(slice(start, start + length))
    return tuple(window)


def write(image: sitk.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def make_small(row: Row, plans: Path) -> None:
    """Make networks and patches small; add the stages of a cascade where the row is one."""
    document = json.loads(plans.read_text(encoding="utf-8"))
    configurations = document["configurations"]
    for name in ("2d", "3d_fullres"):
        if name in configurations:
            shrink(configurations[name], row)
    if row.configuration in ("3d_lowres", "3d_cascade_fullres"):
        full = configurations["3d_fullres"]
        spacing = [full["spacing"][0], *(2 * edge for edge in full["spacing"][1:])]
        low = {"data_identifier": f"{row.plans}_3d_lowres", "spacing": spacing, "next_stage": "3d_cascade_fullres"}
        configurations["3d_lowres"] = {**full, **low}
        configurations["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    plans.write_text(json.dumps(document), encoding="utf-8")


def shrink(configuration: dict[str, Any], row: Row) -> None:
    network = configuration["architecture"]["arch_kwargs"]
    stages = min(len(FEATURES), network["n_stages"])
    blocks = "n_blocks_per_stage" if "n_blocks_per_stage" in network else "n_conv_per_stage"
    network |= {
        "n_stages": stages,
        "features_per_stage": FEATURES[:stages],
        "kernel_sizes": network["kernel_sizes"][:stages],
        "strides": network["strides"][:stages],
        blocks: network[blocks][:stages],
        "n_conv_per_stage_decoder": network["n_conv_per_stage_decoder"][: stages - 1],
    }
    steps = np.prod(network["strides"], axis=0)
    edges = zip(configuration["patch_size"], steps, strict=True)
    patch = [max(step, min(edge, row.patch) // step * step) for edge, step in edges]
    configuration |= {
        "patch_size": [int(edge) for edge in patch],
        "batch_size": 2,
        "spacing": [edge * row.coarser for edge in configuration["spacing"]],
    }
