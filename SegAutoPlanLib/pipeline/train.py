"""`train`: one fold, from the raw dataset to a validated checkpoint; whatever is missing on the way is made."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ..dataset import Dataset, fold_cases, load_dataset, load_or_make_splits
from ..errors import UserInputError
from ..evaluation import evaluate_folder
from ..files import read_json, remove_abandoned
from ..inference import Segmenter, load_model
from ..inference.next_stage import NextStage
from ..inference.tiling import count_tiles
from ..inference.validation import segment_preprocessed_folder
from ..locks import exclusive, waiting_for
from ..losses import find_loss
from ..machine import core_count
from ..models import SUMMARY_FILE, VALIDATION_FOLDER, ModelName, fold_of, fold_path, write_model_files
from ..names import safe_name
from ..networks.device import choose_device
from ..planning import plan_to_json
from ..planning.presets import FULL_PLANS_NAME
from ..preprocessing import open_training_case, preprocess_dataset
from ..preprocessing.dataset_preprocessing import ground_truth_folder
from ..progress import SILENT, Reporter
from ..rank import rank_from_environment
from ..schema import one_of
from ..training import Recipe, TrainingTask, find_recipe
from ..training.augmentation.elastic import load_elastic_deform
from ..training.augmentation_presets import AUGMENTATIONS
from ..training.benchmark import RESULT_FILE
from ..training.distributed import Ranks, joined
from ..training.elastic import Nodes
from ..training.format_choice import AUTOMATIC, FULL, PRECISION_CHOICES, choose_format
from ..training.freezing import require_weights_to_keep
from ..training.launch import launch_ranks
from ..training.requirements import require_batch_for, require_training_fits
from ..training.time_budget import TimeBudget
from ..training.trainer import train_fold
from ..workspace import Workspace
from .cascade import first_stage, next_stages
from .fingerprint import stored_fingerprint
from .option_rules import COUNT, LENGTH, MINUTES, SEED, require_option, require_plans_name, require_rendezvous
from .plan import find_plan, stored_plan
from .pretrained import pretrained_for, read_pretrained

FORMATS_FILE = "number_formats.json"
LOCK_FILE, MODEL_LOCK_FILE = ".training.lock", ".model.lock"
MAX_LOADER_WORKERS = 12
RESTARTS = 3
"""How often a training in several processes goes on from its last checkpoint after one of them has died."""


@dataclass(frozen=True)
class TrainOptions:
    """Which fold to train, and how."""

    dataset: str | Path
    """An id, a name, or the folder of a raw dataset."""
    configuration: str
    """`2d`, `3d_fullres`, `3d_lowres` or a user's own."""
    fold: int | str
    """A number, or `all`: every case both trains and validates."""
    plans_name: str = FULL_PLANS_NAME
    recipe: str = "default"
    epochs: int | None = None
    iterations: int | None = None
    """Training steps per epoch."""
    loss: str | None = None
    minutes: float | None = None
    """How long everything may take, instead of epochs: as many steps are made as there is time for."""
    device: str = "auto"
    gpus: int = 1
    """Processes, one per GPU, on each computer."""
    nodes: int = 1
    """Computers, on each of which the same training is started."""
    rendezvous: str | None = None
    """`HOST:PORT` of one of several computers, where they find each other."""
    resume: bool = False
    pretrained: Path | None = None
    """A checkpoint, a fold's folder or a model's: the weights that fit are where training starts."""
    freeze: str | None = None
    """Instead of the recipe's: `none`, `encoder` or `all_but_heads`."""
    save_probabilities: bool = False
    validate_only: str | None = None
    """`best` or `final`: no training, only the validation cases with that checkpoint."""
    checkpoints: bool = True
    """Whether to write any but the final one."""
    seed: int = 12345
    precision: str = AUTOMATIC
    """`auto`: the number format that is the fastest here; `full`: float32."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fold", fold_of(self.fold))
        require_plans_name(self.plans_name)
        require_option("--epochs", self.epochs, LENGTH)
        require_option("--iterations", self.iterations, LENGTH)
        require_option("--minutes", self.minutes, MINUTES)
        if self.minutes is not None and (self.epochs is not None or self.iterations is not None):
            raise UserInputError("--minutes: says how long to train, and so do --epochs and --iterations; give one.")
        require_option("--gpus", self.gpus, COUNT)
        require_option("--nodes", self.nodes, COUNT)
        require_rendezvous(self.nodes, self.rendezvous)
        require_option("--seed", self.seed, SEED)
        require_option("--precision", self.precision, one_of(*PRECISION_CHOICES))


@dataclass(frozen=True)
class TrainedFold:
    """Where a fold is, and how well it does on its validation cases."""

    folder: Path
    checkpoint: Path
    validation_dice: float
    """NaN, as those by label, where there are no cases to validate with."""
    dice_by_label: dict[str, float]
    validated: int
    """How many cases that is of; not all of the fold's where the time was up."""
    validation_cases: int

    @property
    def model(self) -> Path:
        """The model folder that the fold belongs to."""
        return self.folder.parent


@dataclass(frozen=True)
class Benchmark:
    """What a recipe that only measures came to."""

    result: Path
    """nnU-Net's `benchmark_result.json`."""
    fastest_epoch_s: float


def train(workspace: Workspace, options: TrainOptions, reporter: Reporter = SILENT) -> TrainedFold | Benchmark | None:
    """Train one fold and segment its validation cases; of a benchmark, only measure.

    With `gpus` above 1, or on several nodes, the training runs in processes of its own, which go on from the last
    checkpoint when one of them dies. Under torchrun every process calls this; all but the main one get None, as does a
    node that does not hold the main process.

    Raises:
        UserInputError: the dataset, the plan or an option cannot be worked with; or somebody trains this fold.
        StopRequested: after a stop was asked for; `resume` goes on from there.
        RankFailed: one of several processes failed, and again when all had been started again.
    """
    budget = None if options.minutes is None else TimeBudget(options.minutes, time.monotonic() + 60 * options.minutes)
    # What can be known to be wrong is said before minutes of preprocessing.
    recipe = find_recipe(options.recipe, options.epochs, options.iterations, options.loss, options.freeze)
    _require_possible(recipe, options)
    device = choose_device(options.device)
    if AUGMENTATIONS[recipe.augmentation].bends:
        load_elastic_deform()
    raw = load_dataset(workspace.raw_folder(options.dataset))
    find_loss(recipe.loss, raw.label_scheme)
    if options.pretrained is not None:
        read_pretrained(options.pretrained)
    elif not options.resume and options.validate_only is None:
        require_weights_to_keep(recipe.freeze)
    fold_folder = _fold_folder(workspace, raw, recipe, options)
    if options.nodes > 1:
        nodes = Nodes(options.nodes, options.rendezvous, "-".join(fold_folder.parts[-3:]))
        work = partial(_train_alone, workspace, options, budget, fold_folder)
        return launch_ranks(work, options.gpus, options.device, reporter, nodes, RESTARTS)
    if options.gpus > 1:
        # Held by this process, which outlives the others.
        with _held_fold(fold_folder):
            work = partial(_train_rank, workspace, options, budget)
            return launch_ranks(work, options.gpus, options.device, reporter, restarts=RESTARTS)
    with joined(rank_from_environment(), device) as ranks:
        return _train_alone(workspace, options, budget, fold_folder, ranks, reporter)


def _require_possible(recipe: Recipe, options: TrainOptions) -> None:
    given = {
        "--resume": options.resume,
        "--validate-only": options.validate_only is not None,
        "--minutes": options.minutes is not None,
    }
    for option in (option for option, is_given in given.items() if is_given and recipe.is_benchmark):
        raise UserInputError(
            f"{option}: --recipe {options.recipe} is a benchmark, which keeps no network; leave it out."
        )


def _fold_folder(workspace: Workspace, raw: Dataset, recipe: Recipe, options: TrainOptions) -> Path:
    """Where the fold goes, known before anything is planned."""
    name = ModelName(recipe.folder_name, options.plans_name, safe_name(options.configuration, "the configuration"))
    return fold_path(workspace.results / raw.name / str(name), options.fold)


@contextlib.contextmanager
def _held_fold(folder: Path) -> Iterator[None]:
    with exclusive(folder / LOCK_FILE, f"{folder}: training this fold") as is_alone:
        for written_to in (folder, folder / VALIDATION_FOLDER):
            remove_abandoned(written_to, is_alone)
        yield


def _train_alone(
    workspace: Workspace,
    options: TrainOptions,
    budget: TimeBudget | None,
    fold_folder: Path,
    ranks: Ranks,
    reporter: Reporter,
) -> TrainedFold | Benchmark | None:
    """`_train_rank` while the main process keeps all others from the fold."""
    with contextlib.ExitStack() as held:
        with ranks.main_first():
            if ranks.is_main:
                held.enter_context(_held_fold(fold_folder))
        return _train_rank(workspace, options, budget, ranks, reporter)


def _train_rank(
    workspace: Workspace, options: TrainOptions, budget: TimeBudget | None, ranks: Ranks, reporter: Reporter
) -> TrainedFold | Benchmark | None:
    """What each process of a training does, a lone one too. Only the main one prepares, reports and evaluates."""
    recipe = find_recipe(options.recipe, options.epochs, options.iterations, options.loss, options.freeze)
    raw = load_dataset(workspace.raw_folder(options.dataset))
    options = replace(options, resume=options.resume or ranks.any_rank(ranks.is_continued))
    with ranks.main_first():
        task = _prepare(workspace, raw, recipe, options, ranks, reporter)
    task = replace(task, budget=budget)
    if options.validate_only is None:
        device = choose_device(options.device)
        memory = workspace.preprocessed / raw.name / FORMATS_FILE
        number_format = choose_format(task, device, memory, options.precision, reporter, ranks)
        full = options.precision == FULL
        train_fold(replace(task, number_format=number_format, full_precision=full), reporter, ranks)
        # The main process has written the checkpoint that all of them validate.
        ranks.any_rank(False)
    if recipe.is_benchmark:
        return _measured(task) if ranks.is_main else None
    return _validate(workspace, raw, task, options, ranks, reporter)


def _prepare(
    workspace: Workspace,
    raw: Dataset,
    recipe: Recipe,
    options: TrainOptions,
    ranks: Ranks,
    reporter: Reporter,
) -> TrainingTask:
    """Plan, preprocess and split what is not there yet, and begin the model folder."""
    plan = find_plan(workspace, raw, options.plans_name, reporter=reporter)
    plan_file = stored_plan(workspace, raw, plan.plans_name)
    device = choose_device(options.device)
    chosen = recipe.applied_to(plan.configuration(options.configuration))
    require_batch_for(ranks.world, chosen.batch_size)
    name = ModelName(recipe.folder_name, plan.plans_name, chosen.name)
    channels = chosen.input_channels(len(raw.channel_names), raw.label_scheme)
    require_training_fits(chosen, channels, raw.label_scheme, device.type, str(plan_file), recipe.augmentation)
    pretrained = pretrained_for(options.pretrained, chosen.architecture, channels, raw)
    identifiers = [case.identifier for case in raw.cases]
    splits = load_or_make_splits(raw.folder, workspace.preprocessed / raw.name, identifiers, reporter)
    previous = None
    if chosen.previous_stage:
        first = workspace.results / raw.name / str(replace(name, configuration=chosen.previous_stage))
        previous = first_stage(raw, plan, chosen, first, splits, options.fold, reporter)
    folders = preprocess_dataset(raw, plan, workspace.preprocessed, [chosen.name], None, reporter, wait=True)
    reporter.event("preprocessed", message=f"{raw.name} is ready for {chosen.name}.")
    training_cases, validation_cases = fold_cases(splits, options.fold, identifiers, reporter)
    model_folder = workspace.results / raw.name / str(name)
    # The folds of a model share these files, and may be begun at the same time.
    with waiting_for(model_folder / MODEL_LOCK_FILE, f"{model_folder}: writing its plan", reporter) as is_alone:
        remove_abandoned(model_folder, is_alone)
        fingerprint = stored_fingerprint(workspace, raw)
        write_model_files(model_folder, plan_to_json(plan), raw.dataset_json.document, fingerprint)
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
        previous_stage=previous and previous.labels(workspace, folders[chosen.name], options.device, reporter),
    )
    return replace(task, validation_tiles=_validation_tiles(task, ranks))


def _share(cases: Sequence[str], ranks: Ranks) -> Sequence[str]:
    """The cases that one of the processes validates."""
    return cases[ranks.rank :: ranks.world]


def _validation_tiles(task: TrainingTask, ranks: Ranks) -> int:
    cases = _share(task.validation_cases, ranks)
    shapes = (open_training_case(task.preprocessed, identifier).data.shape[1:] for identifier in cases)
    return 2 ** len(task.mirror_axes) * sum(count_tiles(shape, task.configuration.patch_size) for shape in shapes)


def _measured(task: TrainingTask) -> Benchmark:
    result = task.fold_folder / RESULT_FILE
    [entry] = read_json(result).values()
    return Benchmark(result, entry["fastest_epoch"])


def _validate(
    workspace: Workspace,
    raw: Dataset,
    task: TrainingTask,
    options: TrainOptions,
    ranks: Ranks,
    reporter: Reporter,
) -> TrainedFold | None:
    """The fold's own cases, shared out among the processes; the main one compares them with their references."""
    checkpoint = options.validate_only or "final"
    output = task.fold_folder / VALIDATION_FOLDER
    with ranks.all_or_none():
        written = segment_preprocessed_folder(
            # As the model allows, on a CPU too: how good a fold is must not depend on where it was measured.
            Segmenter(load_model(task.model_folder, [task.fold], checkpoint), options.device, mirroring=True),
            task.preprocessed,
            _share(task.validation_cases, ranks),
            output,
            options.save_probabilities,
            reporter,
            previous_stage=task.previous_stage,
            next_stages=_next_stages(workspace, raw, task) if checkpoint == "final" else (),
            until=task.budget.ends if task.budget else None,
        )
    validated = int(ranks.sum(torch.tensor(len(written))))
    if not ranks.is_main:
        return None
    scheme = raw.label_scheme
    if not task.validation_cases:
        unknown = {scheme.name_of(label): math.nan for label in scheme.foreground}
        return TrainedFold(task.fold_folder, task.checkpoint(checkpoint), math.nan, unknown, 0, 0)
    evaluation = evaluate_folder(
        ground_truth_folder(workspace.preprocessed / raw.name),
        output,
        scheme,
        raw.file_ending,
        raw.image_io,
        output / SUMMARY_FILE,
        ignore_missing=True,
        # Labels drawn on a shifted origin are trained on as they are; the check of the dataset warns of them.
        same_place=False,
    )
    return TrainedFold(
        folder=task.fold_folder,
        checkpoint=task.checkpoint(checkpoint),
        validation_dice=evaluation.foreground_mean(),
        dice_by_label={scheme.name_of(label): evaluation.mean(label) for label in scheme.foreground},
        validated=validated,
        validation_cases=len(task.validation_cases),
    )


def _next_stages(workspace: Workspace, raw: Dataset, task: TrainingTask) -> list[NextStage]:
    identifiers = [case.identifier for case in raw.cases]
    splits = load_or_make_splits(raw.folder, workspace.preprocessed / raw.name, identifiers)
    return next_stages(raw, task.plan, task.configuration, task.model_folder, splits, task.fold)
