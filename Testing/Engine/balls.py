"""A tiny dataset that a tiny network learns in seconds: bright balls, some with a brighter core."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.pipeline.plan import PlanOptions, plan
from SegAutoPlanLib.planning import Plan, read_plan
from SegAutoPlanLib.workspace import Workspace

from .raw_datasets import write_description, write_image

NAME = "Dataset001_Balls"
SIZE = 24


def ball_case(seed: int, shape: tuple[int, int, int] = (SIZE,) * 3) -> tuple[np.ndarray, np.ndarray]:
    """An image (z, y, x) int16 and its labels uint8: 1 = ball, 2 = core."""
    rng = np.random.default_rng(seed)
    centre = [rng.uniform(0.35, 0.65) * extent for extent in shape]
    distance = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(np.indices(shape), centre, strict=True)))
    labels = (distance < 7).astype(np.uint8) + (distance < 3.5)
    return (100 + 100 * labels + rng.normal(0, 15, shape)).astype(np.int16), labels.astype(np.uint8)


def write_balls(raw: Path, cases: int = 6, **changes) -> Path:
    """Write the raw dataset and return its folder."""
    folder = raw / NAME
    labels = {"background": 0, "ball": 1, "core": 2}
    description = {"channel_names": {"0": "MR"}, "numTraining": cases, "labels": labels, **changes}
    write_description(folder, **description)
    for number in range(cases):
        image, segmentation = ball_case(number)
        write_image(image, folder / "imagesTr" / f"ball_{number}_0000.nii.gz", spacing=(1.0, 1.0, 1.0))
        write_image(segmentation, folder / "labelsTr" / f"ball_{number}.nii.gz", spacing=(1.0, 1.0, 1.0))
    return folder


def plan_small(workspace: Workspace, patch: int = 16, features: tuple[int, ...] = (8, 16, 16)) -> Plan:
    """Plan, then make the network and the patches small: the shape of the plan stays, its size does not."""
    plan(workspace, PlanOptions(NAME))
    path = workspace.preprocessed / NAME / "nnUNetPlans.json"
    document = read_json(path)
    for name, dimensions in (("2d", 2), ("3d_fullres", 3)):
        configuration = document["configurations"][name]
        configuration["patch_size"] = [patch] * dimensions
        configuration["batch_size"] = 2
        stages = len(features)
        configuration["architecture"]["arch_kwargs"].update(
            n_stages=stages,
            features_per_stage=list(features),
            kernel_sizes=[[3] * dimensions] * stages,
            strides=[[1] * dimensions] + [[2] * dimensions] * (stages - 1),
            n_conv_per_stage=[2] * stages,
            n_conv_per_stage_decoder=[2] * (stages - 1),
        )
    write_json(path, document)
    return read_plan(path)


def ball_workspace(folder: Path, cases: int = 6, **changes) -> Workspace:
    """A workspace with the dataset and its small plan."""
    workspace = Workspace.at(folder)
    write_balls(workspace.raw, cases, **changes)
    plan_small(workspace)
    return workspace


def untrained_model(workspace: Workspace, configuration: str = "3d_fullres") -> Path:
    """A model folder with the weights of a fresh network; what it segments is noise, but the same each time."""
    plans = read_json(workspace.preprocessed / NAME / "nnUNetPlans.json")
    folder = workspace.results / NAME / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    return write_untrained(folder, plans, read_json(workspace.raw / NAME / "dataset.json"))


def write_untrained(folder: Path, plans: dict, dataset: dict) -> Path:
    """A model folder `…__configuration` for two labels, with the weights of a fresh network."""
    # Here, because most who want balls need no torch.
    import torch

    from SegAutoPlanLib.networks import build_network, write_checkpoint

    configuration = folder.name.rpartition("__")[2]
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    torch.manual_seed(0)
    network = build_network(
        read_plan(folder / "plans.json").configurations[configuration].architecture, len(dataset["channel_names"]), 3
    )
    content = {
        "network_weights": network.state_dict(),
        "init_args": {"configuration": configuration},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
    }
    write_checkpoint(folder / "fold_0" / "checkpoint_final.pth", content)
    return folder
