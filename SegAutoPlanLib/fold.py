"""One fold, from the raw dataset to a validated checkpoint; whatever is missing on the way is made."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from .dataset import Dataset, fold_cases, load_dataset, load_or_make_splits
from .errors import UserInputError
from .evaluation import evaluate_folder
from .files import write_json
from .inference import Segmenter, load_model
from .inference.validation import segment_preprocessed_folder
from .losses import build_loss
from .machine import core_count
from .networks.device import choose_device
from .pipeline import FINGERPRINT_FILE, load_plan
from .planning import Plan, plan_to_json, write_plan
from .preprocessing import preprocess_dataset
from .progress import SILENT, Reporter
from .training import CheckpointContext, Recipe, TrainingTask, find_recipe, join_ranks, leave_ranks, train
from .training.augmentation import load_transforms
from .workspace import Workspace

MAX_LOADER_WORKERS = 12


@dataclass(frozen=True)
class TrainOptions:
    """What `train` may be told beside the fold."""

    plans_name: str = "nnUNetPlans"
    recipe: str = "default"
    epochs: int | None = None
    iterations: int | None = None
    loss: str | None = None
    device: str = "auto"
    resume: bool = False
    pretrained: Path | None = None
    save_probabilities: bool = False
    validate_only: str | None = None
    """`best` or `final`: no training, only the validation cases with that checkpoint."""
    checkpoints: bool = True
    seed: int = 12345


@dataclass(frozen=True)
class TrainedFold:
    """Where a fold is, and how well it does on its validation cases."""

    folder: Path
    checkpoint: Path
    validation_dice: float
    dice_by_label: dict[str, float]


def train_fold(
    workspace: Workspace,
    dataset: str | Path,
    configuration: str,
    fold: int | str,
    options: TrainOptions = TrainOptions(),
    reporter: Reporter = SILENT,
) -> TrainedFold | None:
    """Train one fold and segment its validation cases.

    In a distributed run every process calls this; all but the leading one get None.

    Raises:
        UserInputError: the dataset, the plan or an option cannot be worked with.
        StopRequested: after a stop was asked for; `resume` goes on from there.
    """
    # What can be known to be wrong is said before minutes of preprocessing.
    recipe = find_recipe(options.recipe, options.epochs, options.iterations, options.loss)
    device = choose_device(options.device)
    load_transforms()
    raw = load_dataset(workspace.raw_folder(dataset))
    build_loss(recipe.loss, raw.label_scheme, batch_dice=False)
    ranks = join_ranks(device)
    succeeded = False
    try:
        with ranks.main_first():
            task = _prepare(workspace, raw, configuration, fold, recipe, options, device, reporter)
        if options.validate_only is None:
            train(task, reporter, ranks)
        succeeded = True
    finally:
        leave_ranks(ranks, together=succeeded)
    return _validate(workspace, raw, task, options, reporter) if ranks.is_main else None


def _prepare(
    workspace: Workspace,
    raw: Dataset,
    configuration: str,
    fold: int | str,
    recipe: Recipe,
    options: TrainOptions,
    device: torch.device,
    reporter: Reporter,
) -> TrainingTask:
    """Plan, preprocess and split what is not there yet, and begin the model folder."""
    plan = load_plan(workspace, raw, options.plans_name, reporter)
    chosen = plan.configuration(configuration)
    if chosen.previous_stage:
        raise UserInputError(
            f"{configuration}: training a cascade's second stage is not possible yet; train 3d_fullres or 3d_lowres."
        )
    folders = preprocess_dataset(raw, plan, workspace.preprocessed, [configuration], None, reporter)
    reporter.event("preprocessed", message=f"{raw.name} is ready for {configuration}.")
    identifiers = [case.identifier for case in raw.cases]
    splits = load_or_make_splits(raw.folder, workspace.preprocessed / raw.name, identifiers, reporter)
    training_cases, validation_cases = fold_cases(splits, fold, identifiers, reporter)
    model_folder = workspace.results / raw.name / f"{recipe.trainer_name}__{plan.plans_name}__{configuration}"
    _write_model_folder(model_folder, raw, plan, workspace)
    return TrainingTask(
        context=CheckpointContext(plan_to_json(plan), chosen, fold, raw.dataset_json, recipe, options.seed),
        label_scheme=raw.label_scheme,
        channels=len(raw.channel_names),
        preprocessed=folders[configuration],
        training_cases=tuple(training_cases),
        validation_cases=tuple(validation_cases),
        fold_folder=model_folder / f"fold_{fold}",
        device=device.type,
        # On the CPU the cores are the network's; beside a GPU they are free to load ahead.
        workers=0 if device.type == "cpu" else max(1, min(MAX_LOADER_WORKERS, core_count() - 1)),
        resume=options.resume,
        pretrained=options.pretrained,
        checkpoints=options.checkpoints,
    )


def _write_model_folder(folder: Path, raw: Dataset, plan: Plan, workspace: Workspace) -> None:
    write_plan(plan, folder / "plans.json")
    write_json(folder / "dataset.json", raw.dataset_json)
    stored = workspace.preprocessed / raw.name / FINGERPRINT_FILE
    if stored.is_file():
        shutil.copyfile(stored, folder / FINGERPRINT_FILE)


def _validate(
    workspace: Workspace, raw: Dataset, task: TrainingTask, options: TrainOptions, reporter: Reporter
) -> TrainedFold:
    checkpoint = options.validate_only or "final"
    model = load_model(task.fold_folder.parent, [task.context.fold], checkpoint)
    output = task.fold_folder / "validation"
    segment_preprocessed_folder(
        Segmenter(model, options.device),
        task.preprocessed,
        task.validation_cases,
        output,
        options.save_probabilities,
        reporter,
    )
    references = workspace.preprocessed / raw.name / "gt_segmentations"
    summary = output / "summary.json"
    evaluation = evaluate_folder(
        references, output, raw.label_scheme, raw.file_ending, raw.image_io, summary, ignore_missing=True
    )
    return TrainedFold(
        folder=task.fold_folder,
        checkpoint=task.fold_folder / f"checkpoint_{checkpoint}.pth",
        validation_dice=evaluation.foreground_mean(),
        dice_by_label={
            raw.label_scheme.name_of(label): evaluation.mean(label) for label in raw.label_scheme.foreground
        },
    )
