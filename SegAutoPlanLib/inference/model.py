"""A model with its weights in memory, ready to be built into networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..labels import LabelScheme
from ..models import PLANS_FILE, ModelFolder, fold_path
from ..networks import UNet, build_network, load_weights, read_checkpoint, without_aliases
from ..planning.plan import Configuration, Plan

OWN_NETWORKS = ("nnUNetTrainerBN", "nnUNet_Primus")
"""Trainers of nnU-Net whose networks are not those that the plan describes."""


@dataclass(frozen=True)
class TrainedModel:
    """What segmenting needs of a model folder; one set of weights per fold."""

    files: ModelFolder
    configuration: Configuration
    folds: tuple[str, ...]
    weights: tuple[dict[str, Any], ...]
    mirror_axes: tuple[int, ...]
    """Spatial axes (transposed order) along which the model was trained to be mirrored."""

    @property
    def plan(self) -> Plan:
        return self.files.plan

    @property
    def label_scheme(self) -> LabelScheme:
        return self.files.label_scheme

    @property
    def channel_names(self) -> tuple[str, ...]:
        return self.files.channel_names

    @property
    def file_ending(self) -> str:
        return self.files.file_ending

    @property
    def input_channels(self) -> int:
        """Image channels, and for a cascade one per foreground label of the previous stage."""
        previous = len(self.label_scheme.foreground_labels) if self.configuration.previous_stage else 0
        return len(self.channel_names) + previous

    def build(self, fold: int) -> UNet:
        """The network with the weights of the fold at this place of `folds`, for inference."""
        network = build_network(self.configuration.architecture, self.input_channels, self.label_scheme.head_count)
        load_weights(network, self.weights[fold], fold_path(self.files.path, self.folds[fold]))
        return network.eval().requires_grad_(False)


def load_model(
    model: ModelFolder | Path | str, folds: Sequence[int | str] | None = None, checkpoint: str = "final"
) -> TrainedModel:
    """Read the weights of a model of ours or of nnU-Net.

    Args:
        model: the folder `…/Trainer__Plans__configuration`, or what was read of it.
        folds: which folds to average (default: all numbered ones that have the checkpoint).
        checkpoint: `final`, `best` or `latest`.

    Raises:
        UserInputError: something is missing, or the network is one that cannot be built from the plan.
    """
    files = model if isinstance(model, ModelFolder) else ModelFolder.read(model)
    checkpoints = files.checkpoint_files(folds, checkpoint)
    contents = [read_checkpoint(path) for path in checkpoints.values()]
    first = contents[0]
    trainer = str(first.get("trainer_name", ""))
    if trainer.startswith(OWN_NETWORKS):
        raise UserInputError(
            f"{files.path}: was trained with {trainer}, whose network is not the one that its plan describes; "
            "use a model of another trainer."
        )
    name = first["init_args"]["configuration"]
    if name in files.plan.unusable:
        raise UserInputError(f"{files.path / PLANS_FILE}: {name} cannot be used, because {files.plan.unusable[name]}.")
    if name not in files.plan.configurations:
        raise UserInputError(
            f'{files.path / PLANS_FILE}: has no configuration "{name}", which the checkpoint was trained with.'
        )
    return TrainedModel(
        files=files,
        configuration=files.plan.configurations[name],
        folds=tuple(checkpoints),
        weights=tuple(without_aliases(content["network_weights"]) for content in contents),
        mirror_axes=tuple(first.get("inference_allowed_mirroring_axes") or ()),
    )
