"""What a model is, told before anybody trusts it: from its documents and the headers of its checkpoints alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..inference.model import configuration_of, fits_plan, input_channels_of, require_consistent
from ..models import CHECKPOINTS, SUMMARY_FILE, VALIDATION_FOLDER, ModelName, checkpoint_path, mean_dice
from ..models.names import ALL_CASES, fold_of_folder, fold_path
from ..networks import describe_checkpoint
from ..planning.budget import parameter_count, require_network_fits
from ..planning.plan import Configuration
from .contents import ModelSource, PackedModel
from .documents import ModelDocuments, name_of, read_documents, read_packed_json, read_prose
from .layout import CROSS_VALIDATION, LICENCE

CROSS_VALIDATED = re.compile(rf"({CROSS_VALIDATION})/{re.escape(SUMMARY_FILE)}")
SAID_BY_DATASET = {
    "licence": ("licence", "license"),
    "description": ("description",),
    "reference": ("reference",),
    "release": ("release",),
}
"""What is shown of dataset.json, and the keys under which it stands; nnU-Net asks for none of it."""
LONGEST_SAID = 2000


@dataclass(frozen=True)
class CheckpointDescription:
    """One checkpoint, by its header."""

    name: str
    """Of `CHECKPOINTS`."""
    size: int
    """Bytes."""
    trainer: str = ""
    mirror_axes: tuple[int, ...] = ()
    """Spatial axes (transposed order) on which its network may be mirrored."""
    epoch: int | None = None
    """Epochs that were trained; None where it does not say."""
    problem: str = ""
    """Why it cannot be used here, as a sentence."""


@dataclass(frozen=True)
class FoldDescription:
    """One fold."""

    name: str
    checkpoints: tuple[CheckpointDescription, ...]
    validation_dice: float | None = None


@dataclass(frozen=True)
class NetworkDescription:
    """The configuration that a model was trained with; axes z, y, x (two where it is 2-D)."""

    configuration: str
    spacing_mm: tuple[float, ...]
    patch_size: tuple[int, ...]
    batch_size: int
    kind: str
    """`plain` or `residual`."""
    normalization: str
    stages: int
    parameters: int
    previous_stage: str | None = None
    has_previous_stage: bool = True
    """Whether the model of the cascade's first stage is there, too; true where none is needed."""


@dataclass(frozen=True)
class ModelDescription:
    """One model. What could not be read of it is empty, and `problem` says why."""

    name: str
    dataset: str
    size: int
    """Bytes of all its files, unpacked."""
    folds: tuple[FoldDescription, ...] = ()
    problem: str = ""
    """Why it cannot be used here, as a sentence; empty where it can."""
    channels: tuple[str, ...] = ()
    segments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name → label values; a region has several."""
    file_ending: str = ""
    planner: str = ""
    network: NetworkDescription | None = None
    cross_validation: Mapping[str, float] = field(default_factory=dict)
    """Mean foreground Dice by the folds (`0_1_2_3_4`)."""
    said: Mapping[str, str] = field(default_factory=dict)
    """What dataset.json says of licence, description, reference and release."""
    licence_texts: Mapping[str, str] = field(default_factory=dict)
    """By the name of the file."""

    @property
    def is_usable(self) -> bool:
        return not self.problem


def describe_model(
    source: ModelSource, model: PackedModel, beside: Mapping[str, str], others: Iterable[str]
) -> ModelDescription:
    """What a packed model is; nothing of it is executed, unpacked or held.

    Args:
        beside: files of its dataset, for licences.
        others: names of the models that are there with it, for a cascade's first stage.

    Raises:
        UserInputError: the source itself is damaged; what is wrong with the model is its `problem`.
    """
    found = ModelDescription(
        name=model.folder,
        dataset=model.dataset,
        size=sum(source.files[name] for name in model.files.values()),
        folds=_folds(source, model),
        licence_texts={
            name: read_prose(source, place)
            for name, place in (*beside.items(), *model.files.items())
            if LICENCE.fullmatch(name)
        },
    )
    try:
        documents = read_documents(source, model)
    except UserInputError as error:
        return replace(found, problem=str(error))
    found = replace(
        found,
        dataset=model.dataset or documents.plan.dataset_name,
        channels=documents.channel_names,
        segments=dict(documents.label_scheme.segments),
        file_ending=documents.file_ending,
        planner=documents.plan.planner,
        cross_validation=_cross_validation(source, model),
        said=_said(documents.dataset_json.document),
    )
    try:
        require_consistent(documents)
    except UserInputError as error:
        return replace(found, problem=str(error))
    return _with_weights(found, source, model, documents, set(others))


def _with_weights(
    found: ModelDescription, source: ModelSource, model: PackedModel, documents: ModelDocuments, others: set[str]
) -> ModelDescription:
    folds, network, problem = [], None, ""
    for fold in found.folds:
        checkpoints = []
        for checkpoint in fold.checkpoints:
            place = model.files[checkpoint_path(fold_path(Path(), fold.name), checkpoint.name).as_posix()]
            try:
                content = _header(source, place, documents)
                network = network or _network(documents, configuration_of(documents, content), found.name, others)
                checkpoints.append(_described(checkpoint, content))
            except UserInputError as error:
                problem = problem or str(error)
                checkpoints.append(replace(checkpoint, problem=str(error)))
        folds.append(replace(fold, checkpoints=tuple(checkpoints)))
    usable = any(not checkpoint.problem for fold in folds for checkpoint in fold.checkpoints)
    if not any(fold.checkpoints for fold in folds):
        problem = f"{documents.path}: there are no weights; ask for the whole model, or train it."
    return replace(found, folds=tuple(folds), network=network, problem="" if usable else problem)


def _header(source: ModelSource, place: str, documents: ModelDocuments) -> dict[str, Any]:
    path = source.where(place)
    content = describe_checkpoint(path, fits_plan(documents, path), lambda _: source.open(place))
    configuration = configuration_of(documents, content)
    require_network_fits(
        configuration.architecture,
        input_channels_of(documents, configuration),
        documents.label_scheme.head_count,
        configuration.patch_size,
        1,
        f"{documents.path}: {configuration.name}",
        training=False,
    )
    return content


def _described(checkpoint: CheckpointDescription, content: Mapping[str, Any]) -> CheckpointDescription:
    epoch = content.get("current_epoch")
    return replace(
        checkpoint,
        trainer=content.get("trainer_name", ""),
        mirror_axes=tuple(content.get("inference_allowed_mirroring_axes") or ()),
        epoch=epoch if isinstance(epoch, int) and 0 <= epoch < 10**9 else None,
    )


def _network(
    documents: ModelDocuments, configuration: Configuration, name: str, others: set[str]
) -> NetworkDescription:
    architecture = configuration.architecture
    previous = configuration.previous_stage
    parts = ModelName.parse(name)
    return NetworkDescription(
        configuration=configuration.name,
        spacing_mm=_as_stored(configuration.spacing, documents),
        patch_size=_as_stored(configuration.patch_size, documents),
        batch_size=configuration.batch_size,
        kind=architecture.kind,
        normalization=architecture.normalization,
        stages=len(architecture.strides),
        parameters=parameter_count(
            architecture, input_channels_of(documents, configuration), documents.label_scheme.head_count
        ),
        previous_stage=previous,
        has_previous_stage=previous is None
        or (parts is not None and str(replace(parts, configuration=previous)) in others),
    )


def _as_stored(values: tuple[Any, ...], documents: ModelDocuments) -> tuple[Any, ...]:
    """Along the axes of the image's file, z y x, where the plan has turned three of them."""
    return tuple(values[axis] for axis in documents.plan.transpose_backward) if len(values) == 3 else values


def _folds(source: ModelSource, model: PackedModel) -> tuple[FoldDescription, ...]:
    found: dict[int | str, list[CheckpointDescription]] = {}
    for checkpoint in CHECKPOINTS:
        for name, place in model.files.items():
            folder, _, file = name.partition("/")
            fold = fold_of_folder(folder)
            if fold is not None and file == checkpoint_path(Path(), checkpoint).name:
                found.setdefault(fold, []).append(CheckpointDescription(checkpoint, source.files[place]))
    ordered = sorted(found, key=lambda fold: (fold == ALL_CASES, fold))
    return tuple(
        FoldDescription(str(fold), tuple(found[fold]), _dice(source, model, _summary_of(fold))) for fold in ordered
    )


def _summary_of(fold: int | str) -> str:
    return (fold_path(Path(), fold) / VALIDATION_FOLDER / SUMMARY_FILE).as_posix()


def _cross_validation(source: ModelSource, model: PackedModel) -> dict[str, float]:
    found = {}
    for name in model.files:
        match = CROSS_VALIDATED.fullmatch(name)
        dice = _dice(source, model, name) if match else None
        if match and dice is not None:
            found[match[1].rpartition("folds_")[2]] = dice
    return found


def _dice(source: ModelSource, model: PackedModel, name: str) -> float | None:
    """None, too, where the summary cannot be read: what it says is for people only."""
    if name not in model.files:
        return None
    place = model.files[name]
    try:
        return mean_dice(read_packed_json(source, place), source.where(place))
    except UserInputError:
        return None


def _said(document: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for what, keys in SAID_BY_DATASET.items():
        value = next((document[key] for key in keys if isinstance(document.get(key), str | int | float)), None)
        if value is not None and str(value).strip():
            found[what] = " ".join(str(value)[:LONGEST_SAID].split())
    return found


def name_by_weights(source: ModelSource, model: PackedModel) -> ModelName:
    """The name of a model; where its folder was renamed, as its first checkpoint and its plan say.

    Raises:
        UserInputError: they cannot be read, or say what cannot be a part of a name.
    """
    named = name_of(model)
    if named is not None:
        return named
    documents = read_documents(source, model)
    for fold in _folds(source, model):
        for checkpoint in fold.checkpoints:
            place = model.files[checkpoint_path(fold_path(Path(), fold.name), checkpoint.name).as_posix()]
            content = _header(source, place, documents)
            trainer = content.get("trainer_name") or "nnUNetTrainer"
            return ModelName(trainer, documents.plan.plans_name, content["init_args"]["configuration"])
    raise UserInputError(f"{documents.path}: there are no weights; ask for the whole model, or train it.")
