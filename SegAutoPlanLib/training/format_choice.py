"""The number format of a training: the fastest for its step on this machine, measured once and remembered."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ..networks.casting import candidates, usual_format
from ..networks.format_memory import machine_and, measure, remember, remembered
from ..number_format import AUTOMATIC, FORMATS, FULL, FULL_PRECISION, NumberFormat
from ..planning.architecture_json import architecture_to_json
from ..progress import SILENT, Reporter
from .distributed import ALONE, Ranks
from .new_training import new_state, new_step
from .rehearsal import local_batch_size, random_batch
from .requirements import memory_in_a_sentence
from .state import NotFinite
from .task import TrainingTask

WORTH_MEASURING = 100
"""Steps of a training; measuring costs about as much time as five, or less with a large batch."""
SAMPLES_ON_A_CPU = 2
"""Of a batch: which format is faster does not depend on their number there, what measuring costs does."""
SHARE_OF_BUDGET = 0.1
"""What a measurement may take of a time budget; the faster format gives it back."""


def choose_format(
    task: TrainingTask,
    device: torch.device,
    memory: Path,
    precision: str = AUTOMATIC,
    reporter: Reporter = SILENT,
    ranks: Ranks = ALONE,
) -> NumberFormat:
    """The format to train in; every process of a distributed run gets the main one's.

    A short training is not worth a measurement, nor is one that goes on from a checkpoint, which has its own.

    Args:
        memory: the file that measurements are kept in.
        precision: one of PRECISION_CHOICES.
    """
    place = 0
    if ranks.is_main:
        place = FORMATS.index(_choose(task, device, memory, precision, reporter, ranks))
    return FORMATS[int(ranks.of_main(place))]


def _choose(
    task: TrainingTask, device: torch.device, memory: Path, precision: str, reporter: Reporter, ranks: Ranks
) -> NumberFormat:
    if precision == FULL:
        return FULL_PRECISION
    formats = candidates(device)
    key = machine_and(_work(task, ranks), device)
    known = remembered(memory, key)
    if known in formats:
        message = f"Training computes in {known.in_words()}, the fastest when this was measured here."
        reporter.event("number_format", message=message)
        return known
    steps = task.recipe.epochs * task.recipe.iterations_per_epoch
    if len(formats) == 1 or steps < WORTH_MEASURING or task.resume:
        return usual_format(device)
    allowed_s = SHARE_OF_BUDGET * (task.budget.ends - time.monotonic()) if task.budget else math.inf
    with torch.random.fork_rng(), memory_in_a_sentence(task, device):
        number_format, seconds = measure(formats, lambda each: _step_in(each, task, device, ranks), allowed_s)
    if len(seconds) > 1:
        remember(memory, key, number_format, seconds)
    times = ", ".join(f"{tried} {its / seconds[formats[0]]:.2f}" for tried, its in seconds.items())
    message = f"Training computes in {number_format.in_words()}, as measured now (time of a step, relative: {times})."
    reporter.event("number_format", message=message)
    return number_format


def _work(task: TrainingTask, ranks: Ranks) -> str:
    """Everything that a step's time depends on beside the machine."""
    configuration, recipe = task.configuration, task.recipe
    return json.dumps(
        [
            "training step",
            architecture_to_json(configuration.architecture),
            configuration.patch_size,
            local_batch_size(task, ranks),
            task.channels,
            task.label_scheme.head_count,
            recipe.loss,
            recipe.optimizer,
            recipe.deep_supervision,
            recipe.freeze,
        ],
        sort_keys=True,
    )


def _step_in(
    number_format: NumberFormat, task: TrainingTask, device: torch.device, ranks: Ranks
) -> Callable[[], float]:
    """A step of a network of its own on made-up data."""
    step = new_step(task, new_state(task, device, number_format), device)
    samples = local_batch_size(task, ranks)
    if device.type == "cpu":
        samples = min(samples, SAMPLES_ON_A_CPU)
    images, labels = random_batch(task, samples)

    def run() -> float:
        # The loss comes back as a number: whatever the device still had to do is done then. That noise overflows under
        # this recipe is no reason to stop: the training itself tells how it fares.
        try:
            return step.train(images, labels)
        except NotFinite:
            return math.nan

    return run
