"""The stages in a workspace: each function reads what the stage needs, does it, and writes what nnU-Net would.

The command line has a verb for each of them and Slicer's logic calls the same.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dataset import Dataset, IntegrityReport, check_dataset, load_dataset
from .errors import UserInputError
from .files import read_json, write_json
from .fingerprint import Fingerprint, extract_fingerprint, read_fingerprint, write_fingerprint
from .planning import PLANNERS, Plan, plan_experiments, read_plan, write_plan
from .preprocessing import preprocess_dataset
from .progress import SILENT, Reporter
from .workspace import Workspace

FINGERPRINT_FILE = "dataset_fingerprint.json"


def check(workspace: Workspace, dataset: str | Path, report: Reporter = SILENT) -> IntegrityReport:
    """Every problem of a raw dataset."""
    return check_dataset(load_dataset(workspace.raw_folder(dataset)), report=report)


def fingerprint(
    workspace: Workspace, dataset: str | Path, workers: int | None = None, report: Reporter = SILENT
) -> Fingerprint:
    """Extract and store the fingerprint."""
    raw = load_dataset(workspace.raw_folder(dataset))
    found = extract_fingerprint(raw, workers=workers, report=report)
    write_fingerprint(found, workspace.preprocessed / raw.name / FINGERPRINT_FILE)
    return found


def plan(
    workspace: Workspace,
    dataset: str | Path,
    planner: str = "plain",
    gpu_memory_gb: float | None = None,
    spacing: Sequence[float] | None = None,
    plans_name: str | None = None,
    report: Reporter = SILENT,
) -> Plan:
    """Plan from the stored fingerprint, which is extracted first if it is missing or older than the images.

    User-added configurations of an earlier plan of the same name are kept.
    """
    raw = load_dataset(workspace.raw_folder(dataset))
    folder = workspace.preprocessed / raw.name
    stored = folder / FINGERPRINT_FILE
    is_current = _is_current(stored, raw)
    known = read_fingerprint(stored) if is_current else fingerprint(workspace, dataset, report=report)
    name = plans_name or _default_plans_name(planner)
    target = folder / f"{name}.json"
    existing = read_json(target) if target.is_file() else None
    made = plan_experiments(known, raw, planner, gpu_memory_gb, spacing, name, existing)
    write_plan(made, target)
    write_json(folder / "dataset.json", raw.description)
    return made


def preprocess(
    workspace: Workspace,
    dataset: str | Path,
    plans_name: str = "nnUNetPlans",
    configurations: Sequence[str] | None = None,
    workers: int | None = None,
    report: Reporter = SILENT,
) -> dict[str, Path]:
    """Preprocess what is not there yet; makes the plan first if there is none."""
    raw = load_dataset(workspace.raw_folder(dataset))
    made = load_plan(workspace, raw, plans_name, report)
    return preprocess_dataset(raw, made, workspace.preprocessed, configurations, workers, report)


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


def train(
    workspace: Workspace,
    dataset: str | Path,
    configuration: str,
    fold: int | str,
    options: TrainOptions = TrainOptions(),
    report: Reporter = SILENT,
) -> TrainedFold:
    """Train one fold and validate it; whatever has to come before and is missing is done first.

    Raises:
        UserInputError: the dataset, the plan or an option cannot be worked with.
        StopRequested: after a stop was asked for; `resume` goes on from there.
    """
    # Here, because checking and planning must work without torch.
    from .losses import build_loss
    from .networks.device import choose_device
    from .training import CheckpointContext, TrainingTask, find_recipe, fold_cases, load_or_make_splits
    from .training import train as train_fold
    from .training.augmentation import load_transforms

    # What can be known to be wrong is said before minutes of preprocessing.
    recipe = find_recipe(options.recipe, options.epochs, options.iterations, options.loss)
    choose_device(options.device)
    load_transforms()
    raw = load_dataset(workspace.raw_folder(dataset))
    build_loss(recipe.loss, raw.labels, batch_dice=False)
    made = load_plan(workspace, raw, options.plans_name, report)
    chosen = made.configuration(configuration)
    if chosen.previous_stage:
        raise UserInputError(
            f"{configuration}: training a cascade's second stage is not possible yet; train 3d_fullres or 3d_lowres."
        )
    folders = preprocess_dataset(raw, made, workspace.preprocessed, [configuration], None, report)
    report.event("preprocessed", message=f"{raw.name} is ready for {configuration}.")
    identifiers = [case.identifier for case in raw.cases]
    splits = load_or_make_splits(raw.folder, workspace.preprocessed / raw.name, identifiers, report)
    training_cases, validation_cases = fold_cases(splits, fold, identifiers, report)
    model_folder = workspace.results / raw.name / f"{recipe.trainer_name}__{made.plans_name}__{configuration}"
    fold_folder = model_folder / f"fold_{fold}"
    _write_model_folder(model_folder, raw, made, workspace)
    task = TrainingTask(
        context=CheckpointContext(made.to_json(), chosen, fold, raw.description, recipe, options.seed),
        labels=raw.labels,
        channels=len(raw.channel_names),
        preprocessed=folders[configuration],
        training_cases=tuple(training_cases),
        validation_cases=tuple(validation_cases),
        fold_folder=fold_folder,
        device=options.device,
        workers=_loader_workers(options.device),
        resume=options.resume,
        pretrained=options.pretrained,
        checkpoints=options.checkpoints,
    )
    if options.validate_only is None:
        train_fold(task, report)
    if int(os.environ.get("RANK", "0")) > 0:  # the leading process validates
        return TrainedFold(fold_folder, fold_folder, float("nan"), {})
    return _validate(workspace, raw, model_folder, fold, task, options, report)


def load_plan(workspace: Workspace, raw: Dataset, plans_name: str, report: Reporter = SILENT) -> Plan:
    """The stored plan of that name; one of the presets' names is planned now if it is missing."""
    path = workspace.preprocessed / raw.name / f"{plans_name}.json"
    if path.is_file():
        return read_plan(path)
    planners = {preset.plans_name: name for name, preset in PLANNERS.items()}
    if plans_name not in planners:
        raise UserInputError(f"{path}: there is no such plan; make it first with: plan {raw.name} --plans {plans_name}")
    return plan(workspace, raw.folder, planners[plans_name], report=report)


def _validate(
    workspace: Workspace,
    raw: Dataset,
    model_folder: Path,
    fold: int | str,
    task: Any,
    options: TrainOptions,
    report: Reporter,
) -> TrainedFold:
    from .evaluation import evaluate_folder
    from .inference import Segmenter, load_model
    from .inference.validation import segment_preprocessed_folder

    checkpoint = options.validate_only or "final"
    segmenter = Segmenter(load_model(model_folder, [fold], checkpoint), options.device)
    output = task.fold_folder / "validation"
    segment_preprocessed_folder(
        segmenter, task.preprocessed, task.validation_cases, output, options.save_probabilities, report
    )
    evaluation = evaluate_folder(
        workspace.preprocessed / raw.name / "gt_segmentations",
        output,
        raw.labels,
        raw.file_ending,
        raw.image_io,
        output / "summary.json",
        ignore_missing=True,
    )
    return TrainedFold(
        folder=task.fold_folder,
        checkpoint=task.fold_folder / f"checkpoint_{checkpoint}.pth",
        validation_dice=evaluation.foreground_mean(),
        dice_by_label={raw.labels.name_of(label): evaluation.mean(label) for label in raw.labels.foreground},
    )


def _write_model_folder(folder: Path, raw: Dataset, made: Plan, workspace: Workspace) -> None:
    write_json(folder / "plans.json", made.to_json())
    write_json(folder / "dataset.json", raw.description)
    stored = workspace.preprocessed / raw.name / FINGERPRINT_FILE
    if stored.is_file():
        shutil.copyfile(stored, folder / FINGERPRINT_FILE)


def _loader_workers(device: str) -> int:
    """Processes that load ahead: on the CPU the cores are the network's, beside a GPU they are free."""
    from .machine import core_count
    from .networks.device import choose_device

    return 0 if choose_device(device).type == "cpu" else max(1, min(12, core_count() - 1))


def _is_current(stored: Path, raw: Dataset) -> bool:
    if not stored.is_file() or len(read_fingerprint(stored).spacings) != len(raw.cases):
        return False
    files = [file for case in raw.cases for file in (*case.image_files, case.label_file) if file is not None]
    return all(file.stat().st_mtime <= stored.stat().st_mtime for file in files if file.is_file())


def _default_plans_name(planner: str) -> str:
    if planner not in PLANNERS:
        raise UserInputError(f"--planner {planner}: there is no such planner; choose one of {', '.join(PLANNERS)}.")
    return PLANNERS[planner].plans_name
