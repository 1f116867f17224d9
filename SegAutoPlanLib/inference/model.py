"""A trained model as a folder: plans.json, dataset.json, and a checkpoint a fold. Reading executes nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..files import read_json
from ..labels import LabelScheme
from ..networks import UNet, build_network, without_aliases
from ..networks.checkpoint import FILE_NAMES, read_checkpoint
from ..planning import read_plan
from ..planning.plan import Configuration, Plan
from ..training.state import load_weights

OWN_NETWORKS = ("nnUNetTrainerBN", "nnUNet_Primus")
"""Trainers of nnU-Net whose networks are not those that the plan describes."""


@dataclass(frozen=True)
class TrainedModel:
    """What segmenting needs of a model folder; one set of weights a fold."""

    folder: Path
    plan: Plan
    configuration: Configuration
    label_scheme: LabelScheme
    channel_names: tuple[str, ...]
    dataset_json: dict[str, Any]
    """Its dataset.json."""
    folds: tuple[str, ...]
    weights: tuple[dict[str, Any], ...]
    mirror_axes: tuple[int, ...]
    """Spatial axes (transposed order) along which the model was trained to be mirrored."""

    @property
    def input_channels(self) -> int:
        """Image channels, and for a cascade one a foreground label of the previous stage."""
        previous = len(self.label_scheme.foreground_labels) if self.configuration.previous_stage else 0
        return len(self.channel_names) + previous

    def build(self, fold: int) -> UNet:
        """The network with the weights of the fold at this place of `folds`, for inference."""
        network = build_network(self.configuration.architecture, self.input_channels, self.label_scheme.head_count)
        load_weights(network, self.weights[fold], self.folder / f"fold_{self.folds[fold]}")
        return network.eval().requires_grad_(False)


def load_model(folder: Path | str, folds: Sequence[int | str] | None = None, checkpoint: str = "final") -> TrainedModel:
    """Read a model folder of ours or of nnU-Net.

    Args:
        folder: `…/Trainer__Plans__configuration`.
        folds: which folds to average (default: all numbered ones that have the checkpoint).
        checkpoint: `final`, `best` or `latest`.

    Raises:
        UserInputError: something is missing, or the network is one that cannot be built from the plan.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserInputError(f"{folder}: the model folder does not exist; check the path.")
    dataset_json = read_json(folder / "dataset.json")
    plan = read_plan(folder / "plans.json")
    labels = LabelScheme.from_dataset_json(dataset_json, str(folder / "dataset.json"))
    names = [str(fold) for fold in folds] if folds else available_folds(folder, checkpoint)
    contents = [read_checkpoint(folder / f"fold_{name}" / FILE_NAMES[checkpoint]) for name in names]
    first = contents[0]
    trainer = str(first.get("trainer_name", ""))
    if trainer.startswith(OWN_NETWORKS):
        raise UserInputError(
            f"{folder}: was trained with {trainer}, whose network is not the one that its plan describes; "
            "use a model of another trainer."
        )
    name = first["init_args"]["configuration"]
    if name not in plan.configurations:
        raise UserInputError(
            f'{folder}/plans.json: has no configuration "{name}", which the checkpoint was trained with.'
        )
    return TrainedModel(
        folder=folder,
        plan=plan,
        configuration=plan.configurations[name],
        label_scheme=labels,
        channel_names=tuple((dataset_json.get("channel_names") or dataset_json["modality"]).values()),
        dataset_json=dataset_json,
        folds=tuple(names),
        weights=tuple(without_aliases(content["network_weights"]) for content in contents),
        mirror_axes=tuple(first.get("inference_allowed_mirroring_axes") or ()),
    )


def available_folds(folder: Path, checkpoint: str = "final") -> list[str]:
    """The numbered folds that have the checkpoint, else `all` if that has it.

    Raises:
        UserInputError: there is none.
    """
    having = {
        path.parent.name.removeprefix("fold_")
        for path in folder.glob(f"fold_*/{FILE_NAMES[checkpoint]}")
        if path.is_file()
    }
    numbered = sorted((name for name in having if re.fullmatch(r"\d+", name)), key=int)
    if numbered or "all" in having:
        return numbered or ["all"]
    raise UserInputError(
        f"{folder}: holds no weights (no fold_*/{FILE_NAMES[checkpoint]}); "
        "train a fold first or choose another checkpoint."
    )
