"""How well a fold does: its own validation cases, segmented as a user would and compared with their references."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from ..dataset import Dataset, load_or_make_splits
from ..evaluation import evaluate_folder
from ..inference import Segmenter, load_model
from ..inference.next_stage import NextStage
from ..inference.validation import segment_preprocessed_folder
from ..models import SUMMARY_FILE, VALIDATION_FOLDER
from ..preprocessing.dataset_preprocessing import ground_truth_folder
from ..progress import Reporter
from ..training import TrainingTask
from ..training.distributed import Ranks
from ..workspace import FORMATS_FILE, Workspace
from .cascade import next_stages
from .train_options import TrainOptions


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


def validate_fold(
    workspace: Workspace,
    raw: Dataset,
    task: TrainingTask,
    options: TrainOptions,
    ranks: Ranks,
    reporter: Reporter,
) -> TrainedFold | None:
    """The fold's own cases, shared out among the processes; the main one compares them with their references.

    Returns:
        How well the fold does; None in all processes but the main one.

    Raises:
        UserInputError: the checkpoint or a case cannot be worked with, in this process or in another.
        StopRequested: between two tiles; finished cases stay.
    """
    checkpoint = options.validate_only or "final"
    output = task.fold_folder / VALIDATION_FOLDER
    with ranks.all_or_none():
        written = _segment_share(workspace, raw, task, options, ranks, reporter, checkpoint)
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


def _segment_share(
    workspace: Workspace,
    raw: Dataset,
    task: TrainingTask,
    options: TrainOptions,
    ranks: Ranks,
    reporter: Reporter,
    checkpoint: str,
) -> list[Path]:
    cases = ranks.share_of(task.validation_cases)
    segmenter = Segmenter(
        load_model(task.model_folder, [task.fold], checkpoint),
        options.device,
        # As the model allows, on a CPU too: how good a fold is must not depend on where it was measured.
        mirroring=True,
        precision=options.precision,
        formats_file=workspace.preprocessed / raw.name / FORMATS_FILE,
        cases=len(cases),
    )
    return segment_preprocessed_folder(
        segmenter,
        task.preprocessed,
        cases,
        task.fold_folder / VALIDATION_FOLDER,
        options.save_probabilities,
        reporter,
        previous_stage=task.previous_stage,
        next_stages=_next_stages(workspace, raw, task) if checkpoint == "final" else (),
        until=task.budget.ends if task.budget else None,
    )


def _next_stages(workspace: Workspace, raw: Dataset, task: TrainingTask) -> list[NextStage]:
    identifiers = [case.identifier for case in raw.cases]
    splits = load_or_make_splits(raw.folder, workspace.preprocessed / raw.name, identifiers)
    return next_stages(raw, task.plan, task.configuration, task.model_folder, splits, task.fold)
