"""`export-model`: trained models as one zip archive, which nnU-Net installs, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import FileError, UserInputError, in_sentences
from ..exchange.packing import write_archive
from ..exchange.shared_files import SharedModel, has_licence, members_beside, members_of
from ..models import PLANS_FILE, ModelFolder, ModelName, find_models
from ..models.names import folds_to_average
from ..progress import SILENT, Reporter
from ..schema import one_of
from ..workspace import DATASET_NAME, Workspace
from .option_rules import require_option

SHARED_CHECKPOINTS = ("final", "best")


@dataclass(frozen=True)
class ExportModelOptions:
    """Which models, and what of them."""

    models: Sequence[str | Path]
    """Datasets of the workspace (id or name), all of whose models are meant, and folders of models."""
    output: Path
    """The zip archive."""
    configurations: Sequence[str] | None = None
    """Only these of a dataset; None: all that are trained."""
    folds: Sequence[int | str] | None = None
    """None: all numbered ones that have the checkpoint."""
    checkpoint: str = SHARED_CHECKPOINTS[0]
    keep_optimizer: bool = False
    """Whether a training can be gone on with elsewhere; twice the size."""
    overwrite: bool = False
    """Whether an archive that is there may be replaced."""

    def __post_init__(self) -> None:
        require_option("--checkpoint", self.checkpoint, one_of(*SHARED_CHECKPOINTS))
        if self.folds is not None:
            object.__setattr__(self, "folds", folds_to_average(self.folds))


@dataclass(frozen=True)
class ExportedModels:
    """What was written."""

    archive: Path
    size: int
    """Bytes."""
    models: tuple[str, ...]
    """`DatasetXXX_Name/Trainer__Plans__configuration` of each."""
    notes: tuple[str, ...] = ()
    """What whoever gets it should know."""


def export_model(workspace: Workspace, options: ExportModelOptions, reporter: Reporter = SILENT) -> ExportedModels:
    """Write models as an archive; it appears whole or not at all.

    Raises:
        UserInputError: a model is missing or cannot be used, or the archive is there already.
        StopRequested: once a stop was asked for; nothing is left then.
    """
    if not options.models:
        raise UserInputError("export-model: name a dataset or the folder of a model.")
    if options.output.suffix.lower() != ".zip":
        raise UserInputError(f"--output {options.output}: must be the name of a zip archive, such as Liver.zip.")
    if options.output.exists() and not options.overwrite:
        raise FileError(options.output, "is there already", "give another name, or --overwrite to replace it")
    with in_sentences():
        shared = _shared(workspace, options)
        members = [member for model in shared for member in members_of(model)]
        for dataset in dict.fromkeys(model.dataset for model in shared):
            of_dataset = [model for model in shared if model.dataset == dataset]
            members += members_beside(of_dataset[0].files.path.parent, dataset, of_dataset)
        write_archive(options.output, members, reporter)
    return ExportedModels(
        archive=options.output,
        size=options.output.stat().st_size,
        models=tuple(model.place.rstrip("/") for model in shared),
        notes=tuple(_notes(shared)),
    )


def _shared(workspace: Workspace, options: ExportModelOptions) -> list[SharedModel]:
    found: dict[str, SharedModel] = {}
    for given in options.models:
        for model in _models(workspace, given, options.configurations):
            shared = _as_shared(model, options)
            same = found.setdefault(shared.place, shared)
            if same.files.path.absolute() != model.path.absolute():
                raise FileError(
                    model.path, f"would be the same in the archive as {same.files.path}", "rename one of them"
                )
            stage = _first_stage(shared)
            if stage is not None and stage.path.is_dir():
                first = _as_shared(ModelFolder.read(stage.path), options)
                found.setdefault(first.place, first)
    return list(found.values())


def _models(workspace: Workspace, given: str | Path, configurations: Sequence[str] | None) -> list[ModelFolder]:
    folder = Path(given)
    if (folder / PLANS_FILE).is_file() or (folder.is_dir() and not DATASET_NAME.fullmatch(folder.absolute().name)):
        return [ModelFolder.read(folder)]
    results = (folder if folder.is_dir() else workspace.results / workspace.dataset_name(given)).absolute()
    there = [model for model in find_models(results.parent) if model.path.parent == results]
    wanted = [model for model in there if configurations is None or _configuration(model) in configurations]
    missing = set(configurations or ()) - {_configuration(model) for model in wanted}
    if missing:
        raise FileError(
            results, f"holds no trained model of {', '.join(sorted(missing))}", "train it, or correct --configurations"
        )
    if not wanted:
        raise FileError(results, "holds no trained model", "train one, or give the folder of a model")
    return wanted


def _configuration(model: ModelFolder) -> str | None:
    return model.name.configuration if model.name else None


def _as_shared(model: ModelFolder, options: ExportModelOptions) -> SharedModel:
    name, dataset = model.name, model.path.absolute().parent.name
    if name is None:
        raise FileError(
            model.path, "is not named Trainer__Plans__configuration, as nnU-Net finds models", "rename the folder"
        )
    if not DATASET_NAME.fullmatch(dataset):
        dataset = model.plan.dataset_name
    if not DATASET_NAME.fullmatch(dataset):
        raise FileError(model.path.parent, "is not named DatasetXXX_Name, as nnU-Net finds models", "rename the folder")
    checkpoints = model.checkpoint_files(options.folds, options.checkpoint)
    return SharedModel(model, dataset, name, checkpoints, options.keep_optimizer)


@dataclass(frozen=True)
class _Stage:
    name: ModelName
    path: Path


def _first_stage(model: SharedModel) -> _Stage | None:
    """The model that a cascade's second stage needs."""
    known = model.files.plan.configurations.get(model.name.configuration)
    if known is None or known.previous_stage is None:
        return None
    name = replace(model.name, configuration=known.previous_stage)
    return _Stage(name, model.files.path.parent / str(name))


def _notes(shared: Sequence[SharedModel]) -> Iterator[str]:
    places = {model.place for model in shared}
    for model in shared:
        stage = _first_stage(model)
        if stage is not None and f"{model.dataset}/{stage.name}/" not in places:
            yield f"{model.name} is a cascade's second stage and needs {stage.name}, which is not trained here."
        if not has_licence(model):
            yield (
                f"{model.name} says nothing of its licence: add a LICENSE file to its folder, "
                'or "licence" to its dataset.json.'
            )
