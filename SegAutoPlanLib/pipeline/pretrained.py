"""`--pretrained`: what the path means, read and checked before anything is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..dataset import Dataset
from ..dataset_json import DatasetJson, parse_dataset_json
from ..errors import FileError
from ..inference import load_model
from ..models.pretrained import ChosenCheckpoint, PretrainedModel, choose_checkpoint
from ..networks import plan_start, planned_shapes, read_checkpoint
from ..networks.checkpoint_gate import WEIGHTS
from ..networks.pretrained import stored_shapes
from ..networks.transfer import heads_of
from ..networks.weights import own_weights, require_finite_tensors
from ..planning.plan import Architecture


def read_pretrained(path: Path) -> PretrainedModel:
    """The network to start from, of a checkpoint file, a fold's folder or a model's, ours or nnU-Net's.

    What lies in a model folder has to be what its plan and dataset.json say, as for segmenting; a file alone is known
    by what it says about itself.

    Raises:
        UserInputError: nothing to start from is there, or it is damaged, hostile, or contradicts itself.
    """
    chosen = choose_checkpoint(path)
    return _alone(chosen.path) if chosen.model is None else _of_model(chosen)


def pretrained_for(
    path: Path | None, architecture: Architecture, channels: int, raw: Dataset
) -> PretrainedModel | None:
    """The network to start from, which fits the one that is to be trained; None without a path.

    Args:
        channels: of the network's input, more than the images have in a cascade's second stage.

    Raises:
        UserInputError: see `read_pretrained`; or almost nothing of it fits.
    """
    if path is None:
        return None
    model = read_pretrained(path)
    shapes = planned_shapes(architecture, channels, raw.label_scheme.head_count)
    plan_start(model, shapes, raw.channel_names, raw.label_scheme)
    return model


def _of_model(chosen: ChosenCheckpoint) -> PretrainedModel:
    [weights] = load_model(chosen.model, [chosen.fold], chosen.name).weights
    require_finite_tensors(weights, chosen.path)
    shapes = stored_shapes(weights, chosen.path)
    return PretrainedModel(chosen.path, chosen.model.channel_names, chosen.model.label_scheme, shapes)


def _alone(path: Path) -> PretrainedModel:
    content = read_checkpoint(path, lambda content: _sound(content, path))
    weights = own_weights(content["network_weights"], path)
    require_finite_tensors(weights, path)
    shapes, described = stored_shapes(weights, path), _described(content, path)
    if described is None:
        return PretrainedModel(path, None, None, shapes)
    heads = heads_of(shapes)
    if heads not in (0, described.label_scheme.head_count):
        raise FileError(
            path,
            f"has {heads} outputs, but its own dataset.json {described.label_scheme.head_count} classes",
            "choose another checkpoint",
        )
    return PretrainedModel(path, described.channel_names, described.label_scheme, shapes)


def _sound(content: Any, path: Path) -> None:
    """A rule: weights, each once, and a description that can be believed."""
    WEIGHTS(content)
    stored_shapes(content["network_weights"], path)
    _described(content, path)


def _described(content: Mapping[str, Any], path: Path) -> DatasetJson | None:
    """What a checkpoint says of its labels and channels, as both systems write it; None where it does not."""
    arguments = content.get("init_args")
    document = arguments.get("dataset_json") if isinstance(arguments, dict) else None
    return None if document is None else parse_dataset_json(document, path)
