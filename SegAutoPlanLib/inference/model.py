"""A model with its weights in memory, ready to be built into networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..images import require_writable
from ..labels import LabelScheme
from ..models import OTHER_NETWORKS, PLANS_FILE, ModelFolder, normalization_of
from ..networks import UNet, build_network, load_weights, planned_shapes, read_checkpoint, require_fit
from ..networks.checkpoint_gate import MODEL
from ..networks.weights import own_weights
from ..planning.budget import VALUE_BYTES, parameter_count, require_memory, require_network_fits
from ..planning.plan import Configuration, Plan
from ..schema import Mismatch, Rule, shown


class PlannedModel(Protocol):
    """What is known of a model beside its weights: a `ModelFolder`, or what was read of an archive."""

    @property
    def path(self) -> Path: ...

    @property
    def plan(self) -> Plan: ...

    @property
    def label_scheme(self) -> LabelScheme: ...

    @property
    def channel_names(self) -> tuple[str, ...]: ...

    @property
    def file_ending(self) -> str: ...


@dataclass(frozen=True)
class TrainedModel:
    """What segmenting needs of a model folder; one set of weights per fold."""

    files: ModelFolder
    configuration: Configuration
    folds: tuple[str, ...]
    checkpoints: tuple[Path, ...]
    """The file of each."""
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
        return input_channels_of(self.files, self.configuration)

    def require_fits(self, device: str) -> None:
        """Refuse to segment tiles that the memory behind the device cannot hold.

        Args:
            device: `cpu`, `cuda` or `mps`; what a graphics card cannot hold, it says itself.

        Raises:
            UserInputError: the network and a tile are too large for this computer.
        """
        require_network_fits(
            self.configuration.architecture,
            self.input_channels,
            self.label_scheme.head_count,
            self.configuration.patch_size,
            1,
            f"{self.files.path / PLANS_FILE}: {self.configuration.name}",
            training=False,
            device=device,
        )

    def build(self, fold: int) -> UNet:
        """The network with the weights of the fold at this place of `folds`, for inference."""
        network = build_network(self.configuration.architecture, self.input_channels, self.label_scheme.head_count)
        load_weights(network, self.weights[fold], self.checkpoints[fold])
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
    require_consistent(files)
    checkpoints = files.checkpoint_files(folds, checkpoint)
    contents = {path: read_checkpoint(path, fits_plan(files, path, len(checkpoints))) for path in checkpoints.values()}
    said = {path: _said(content) for path, content in contents.items()}
    first = next(iter(said))
    for path, words in said.items():
        for what, value in words.items():
            if value != said[first][what]:
                raise FileError(
                    path, f"has another {what} than {first}", "choose folds (--folds) of one and the same training"
                )
    _, _, mirror_axes, _ = said[first].values()
    return TrainedModel(
        files=files,
        configuration=configuration_of(files, contents[first]),
        folds=tuple(checkpoints),
        checkpoints=tuple(checkpoints.values()),
        weights=tuple(own_weights(content["network_weights"], path) for path, content in contents.items()),
        mirror_axes=mirror_axes,
    )


def require_consistent(files: PlannedModel) -> None:
    """Refuse a model folder whose files contradict each other.

    Raises:
        UserInputError: its plans.json is no plan, is for other channels than its dataset.json, or for other images.
    """
    plan, channels = files.plan, len(files.channel_names)
    if len(plan.foreground_intensities) != channels:
        raise FileError(
            files.path / PLANS_FILE,
            f"is for {len(plan.foreground_intensities)} channels, but {DATASET_FILE} beside it names {channels}",
            "copy both files from one and the same model",
        )
    require_writable(plan.image_io, files.file_ending, files.path / DATASET_FILE)


def input_channels_of(files: PlannedModel, configuration: Configuration) -> int:
    """Of the network that a folder's checkpoint is for."""
    return configuration.input_channels(len(files.channel_names), files.label_scheme)


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    """What folds that are averaged agree about."""
    return {
        "configuration": content["init_args"]["configuration"],
        "trainer": content.get("trainer_name", ""),
        "choice of mirroring axes": tuple(content.get("inference_allowed_mirroring_axes") or ()),
        "normalisation": _normalization(content),
    }


def fits_plan(files: PlannedModel, path: Path, folds: int = 1) -> Rule:
    """A rule: a checkpoint of the model, asked before anything of its size is allocated.

    Args:
        path: the checkpoint, for the sentence.
        folds: how many such are to be in memory at once.
    """

    def check(content: Any) -> None:
        MODEL(content)
        configuration = configuration_of(files, content)
        axes = content.get("inference_allowed_mirroring_axes") or ()
        if any(axis >= len(configuration.patch_size) for axis in axes):
            raise Mismatch(f"must be axes of the patch, not {shown(axes)}", '"inference_allowed_mirroring_axes"')
        channels, heads = input_channels_of(files, configuration), files.label_scheme.head_count
        architecture, source = configuration.architecture, f"{files.path / PLANS_FILE}: {configuration.name}"
        weights = folds * VALUE_BYTES * parameter_count(architecture, channels, heads)
        several = (f"averaging {folds} folds", "average fewer of them (--folds)")
        require_memory(weights, source, *(several if folds > 1 else ("the network", "choose a smaller one")))
        require_fit(planned_shapes(architecture, channels, heads), content["network_weights"], path)

    return check


def configuration_of(files: PlannedModel, content: Mapping[str, Any]) -> Configuration:
    """The configuration that a checkpoint was trained with, its network as the trainer made it.

    Raises:
        UserInputError: the trainer's network is another one, or the plan has no such configuration.
    """
    trainer, name = content.get("trainer_name", ""), content["init_args"]["configuration"]
    if trainer.startswith(OTHER_NETWORKS):
        raise UserInputError(
            f"{files.path}: was trained with {trainer}, whose network is not the one that its plan describes; "
            "use a model of another trainer."
        )
    plans = files.path / PLANS_FILE
    if name in files.plan.unusable:
        raise FileError(plans, f"{name} cannot be used, because {files.plan.unusable[name]}", "use another model")
    if name not in files.plan.configurations:
        raise FileError(
            plans,
            f'has no configuration "{name}", which the checkpoint was trained with',
            "copy the plans.json that belongs to the checkpoint",
        )
    configuration = files.plan.configurations[name]
    architecture = replace(configuration.architecture, normalization=_normalization(content))
    return replace(configuration, architecture=architecture)


def _normalization(content: Mapping[str, Any]) -> str:
    return normalization_of(content.get("trainer_name", ""), content["network_weights"])
