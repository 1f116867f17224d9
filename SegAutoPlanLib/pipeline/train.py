"""`train`: one fold, from the raw dataset to a validated checkpoint; whatever is missing on the way is made."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..dataset import Dataset, load_dataset
from ..files import read_json, remove_abandoned
from ..locks import exclusive
from ..losses import find_loss
from ..models import VALIDATION_FOLDER
from ..networks.device import choose_device
from ..number_format import FULL
from ..progress import SILENT, Reporter
from ..rank import rank_from_environment
from ..training import Recipe, TrainingTask
from ..training.augmentation.elastic import load_elastic_deform
from ..training.augmentation_presets import AUGMENTATIONS
from ..training.benchmark import RESULT_FILE
from ..training.distributed import Ranks, joined
from ..training.format_choice import choose_format
from ..training.freezing import require_weights_to_keep
from ..training.launch import launch_ranks
from ..training.nodes import Nodes
from ..training.time_budget import TimeBudget
from ..training.trainer import train_fold
from ..workspace import FORMATS_FILE, Workspace
from .fold_task import fold_folder_of, prepare_fold
from .fold_validation import TrainedFold, validate_fold
from .pretrained import read_pretrained
from .train_options import TrainOptions, recipe_of

__all__ = ["Benchmark", "TrainOptions", "TrainedFold", "train"]

LOCK_FILE = ".training.lock"
RESTARTS = 3
"""How often a training in several processes goes on from its last checkpoint after one of them has died."""


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
    recipe = recipe_of(options)
    raw = _require_sound(workspace, recipe, options)
    fold_folder = fold_folder_of(workspace, raw, recipe, options)
    if options.nodes > 1:
        nodes = Nodes(options.nodes, options.rendezvous, "-".join(fold_folder.parts[-3:]))
        work = partial(_train_alone, workspace, options, budget, fold_folder)
        return launch_ranks(work, options.gpus, options.device, reporter, nodes, RESTARTS)
    if options.gpus > 1:
        # Held by this process, which outlives the others.
        with _held_fold(fold_folder):
            work = partial(_train_rank, workspace, options, budget)
            return launch_ranks(work, options.gpus, options.device, reporter, restarts=RESTARTS)
    with joined(rank_from_environment(), choose_device(options.device)) as ranks:
        return _train_alone(workspace, options, budget, fold_folder, ranks, reporter)


def _require_sound(workspace: Workspace, recipe: Recipe, options: TrainOptions) -> Dataset:
    """What can be known to be wrong is said before minutes of preprocessing."""
    choose_device(options.device)
    if AUGMENTATIONS[recipe.augmentation].bends:
        load_elastic_deform()
    raw = load_dataset(workspace.raw_folder(options.dataset))
    find_loss(recipe.loss, raw.label_scheme)
    if options.pretrained is not None:
        read_pretrained(options.pretrained)
    elif not options.resume and options.validate_only is None:
        require_weights_to_keep(recipe.freeze)
    return raw


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
    recipe = recipe_of(options)
    raw = load_dataset(workspace.raw_folder(options.dataset))
    options = replace(options, resume=options.resume or ranks.any_rank(ranks.is_continued))
    with ranks.main_first():
        task = prepare_fold(workspace, raw, recipe, options, ranks, reporter)
    task = replace(task, budget=budget)
    if options.validate_only is None:
        device = choose_device(options.device)
        memory = workspace.preprocessed / raw.name / FORMATS_FILE
        number_format = choose_format(task, device, memory, options.precision, reporter, ranks)
        task = replace(task, number_format=number_format, full_precision=options.precision == FULL)
        train_fold(task, reporter, ranks)
        # The main process has written the checkpoint that all of them validate.
        ranks.any_rank(False)
    if recipe.is_benchmark:
        return _measured(task) if ranks.is_main else None
    return validate_fold(workspace, raw, task, options, ranks, reporter)


def _measured(task: TrainingTask) -> Benchmark:
    result = task.fold_folder / RESULT_FILE
    [entry] = read_json(result).values()
    return Benchmark(result, entry["fastest_epoch"])
