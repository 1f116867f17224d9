"""Which batches a fold is trained on: its cases, cut, oversampled and augmented as the recipe says."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..progress import Reporter
from .augmentation_presets import AUGMENTATIONS
from .batches import BatchStream, batch_order
from .benchmark import RandomBatch
from .course import Course
from .distributed import Ranks
from .samples import SampleSource
from .state import TrainingState
from .task import TrainingTask

VALIDATION_SEED_OFFSET = 1_000_003
"""Validation patches come from a stream of their own."""


def fold_batches(
    task: TrainingTask, course: Course, state: TrainingState, device: torch.device, reporter: Reporter, ranks: Ranks
) -> BatchStream | RandomBatch:
    """Every batch from where the training stands to its end; each epoch takes its own."""
    recipe = course.recipe
    if recipe.benchmark == "without_loading":
        return RandomBatch(task, device, ranks)
    on_gpu = device.type == "cuda"
    return BatchStream(
        sources_of(task),
        batch_order(course.order_of(recipe), state.epoch, state.iteration),
        task.workers,
        pin_memory=on_gpu,
        rank=ranks.rank,
        world=ranks.world,
        augments_on=device if on_gpu and AUGMENTATIONS[recipe.augmentation].suits_a_gpu else None,
        warn=lambda sentence: reporter.event("warning", message=sentence),
    )


def sources_of(task: TrainingTask) -> tuple[SampleSource, SampleSource]:
    """What the samples of training and those of the validation after each epoch are made of."""
    recipe = task.recipe
    training = SampleSource(
        folder=task.preprocessed,
        identifiers=task.training_cases,
        configuration=task.configuration,
        oversample_foreground=recipe.oversample_foreground,
        augmentation=recipe.augmentation,
        mirror_axes=task.mirror_axes,
        seed=task.seed,
        oversampling=recipe.oversampling,
        previous_stage=task.previous_stage,
        previous_labels=task.label_scheme.foreground_labels if task.previous_stage else (),
    )
    validation = replace(
        training,
        identifiers=task.validation_cases or task.training_cases,
        augmentation="none",
        mirror_axes=(),
        seed=task.seed + VALIDATION_SEED_OFFSET,
    )
    return training, validation
