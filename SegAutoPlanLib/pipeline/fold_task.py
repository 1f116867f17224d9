"""From a raw dataset to one fold's training task: plan, preprocess and split what is not there yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..dataset import Dataset, fold_cases, load_or_make_splits
from ..files import remove_abandoned
from ..inference.tiling import count_tiles
from ..locks import waiting_for
from ..machine import core_count
from ..models import ModelName, fold_path, write_model_files
from ..names import safe_name
from ..networks.device import choose_device
from ..planning import plan_to_json
from ..planning.plan import Plan
from ..preprocessing import open_training_case, preprocess_dataset
from ..progress import Reporter
from ..rank import Rank
from ..training import Recipe, TrainingTask
from ..training.requirements import require_processes_for, require_training_fits
from ..workspace import Workspace
from .cascade import first_stage
from .fingerprint import stored_fingerprint
from .plan import find_plan, stored_plan
from .pretrained import pretrained_for
from .train_options import TrainOptions

MODEL_LOCK_FILE = ".model.lock"
MAX_LOADER_WORKERS = 12


def fold_folder_of(workspace: Workspace, raw: Dataset, recipe: Recipe, options: TrainOptions) -> Path:
    """Where the fold goes, known before anything is planned.

    Raises:
        UserInputError: the configuration's name cannot be a part of a path.
    """
    name = ModelName(recipe.folder_name, options.plans_name, safe_name(options.configuration, "the configuration"))
    return fold_path(workspace.results / raw.name / str(name), options.fold)


def prepare_fold(
    workspace: Workspace,
    raw: Dataset,
    recipe: Recipe,
    options: TrainOptions,
    rank: Rank,
    reporter: Reporter,
) -> TrainingTask:
    """What the fold is trained with: whatever of it is missing on the disk is made, and the model folder begun.

    Args:
        rank: which of the processes this is; `validation_tiles` are of its share.

    Raises:
        UserInputError: the plan, the first stage or the weights to start from do not fit, or the memory is too little.
        StopRequested: while preprocessing; finished cases stay.
    """
    plan = find_plan(workspace, raw, options.plans_name, reporter=reporter)
    plan_file = stored_plan(workspace, raw, plan.plans_name)
    device = choose_device(options.device)
    chosen = recipe.applied_to(plan.configuration(options.configuration))
    require_processes_for(rank.world, chosen, device.type)
    channels = chosen.input_channels(len(raw.channel_names), raw.label_scheme)
    require_training_fits(
        chosen, channels, raw.label_scheme, device.type, str(plan_file), recipe.augmentation, recipe.optimizer
    )
    pretrained = pretrained_for(options.pretrained, chosen.architecture, channels, raw)
    identifiers = [case.identifier for case in raw.cases]
    splits = load_or_make_splits(raw.folder, workspace.preprocessed / raw.name, identifiers, reporter)
    name, models = ModelName(recipe.folder_name, plan.plans_name, chosen.name), workspace.results / raw.name
    previous = None
    if chosen.previous_stage:
        first = models / str(replace(name, configuration=chosen.previous_stage))
        previous = first_stage(raw, plan, chosen, first, splits, options.fold, reporter)
    folders = preprocess_dataset(raw, plan, workspace.preprocessed, [chosen.name], None, reporter, wait=True)
    reporter.event("preprocessed", message=f"{raw.name} is ready for {chosen.name}.")
    training_cases, validation_cases = fold_cases(splits, options.fold, identifiers, reporter)
    model_folder = models / str(name)
    _begin_model(workspace, raw, plan, model_folder, reporter)
    task = TrainingTask(
        plan=plan,
        configuration_name=chosen.name,
        fold=options.fold,
        dataset_json=raw.dataset_json,
        recipe=recipe,
        seed=options.seed,
        preprocessed=folders[chosen.name],
        training_cases=tuple(training_cases),
        validation_cases=tuple(validation_cases),
        model_folder=model_folder,
        device=device.type,
        # On the CPU the cores are the network's; beside a GPU they are free to load ahead.
        workers=0 if device.type == "cpu" else max(1, min(MAX_LOADER_WORKERS, core_count() - 1)),
        resume=options.resume,
        pretrained=pretrained,
        checkpoints=options.checkpoints and not recipe.is_benchmark,
        previous_stage=previous
        and previous.labels(workspace, folders[chosen.name], options.device, reporter, options.precision),
    )
    return replace(task, validation_tiles=_validation_tiles(task, rank))


def _begin_model(workspace: Workspace, raw: Dataset, plan: Plan, model_folder: Path, reporter: Reporter) -> None:
    # The folds of a model share these files, and may be begun at the same time.
    with waiting_for(model_folder / MODEL_LOCK_FILE, f"{model_folder}: writing its plan", reporter) as is_alone:
        remove_abandoned(model_folder, is_alone)
        fingerprint = stored_fingerprint(workspace, raw)
        write_model_files(model_folder, plan_to_json(plan), raw.dataset_json.document, fingerprint)


def _validation_tiles(task: TrainingTask, rank: Rank) -> int:
    cases = rank.share_of(task.validation_cases)
    shapes = (open_training_case(task.preprocessed, identifier).data.shape[1:] for identifier in cases)
    return 2 ** len(task.mirror_axes) * sum(count_tiles(shape, task.configuration.patch_size) for shape in shapes)
