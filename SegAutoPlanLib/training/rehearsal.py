"""A few steps that nothing remembers, to learn how fast this computer is."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ..networks import UNet
from ..networks.casting import as_input, computing_in, usual_format
from ..networks.samples_at_once import samples_at_once
from ..number_format import FULL_PRECISION
from ..rank import Rank
from .sampling import positions_of_rank
from .state import TrainingState
from .step import TrainingStep
from .task import TrainingTask
from .time_budget import Pace

REPEATS = 3


def rehearse(step: TrainingStep, state: TrainingState, task: TrainingTask, batch_size: int) -> Pace:
    """Time the step on random voxels; the state is as before afterwards.

    Args:
        batch_size: of this process.
    """
    before = copy.deepcopy((state.network.state_dict(), state.optimizer.state_dict()))
    scaler = state.scaler.state_dict() if state.scaler else None
    images, labels = random_batch(task, batch_size)
    step_s = _median_seconds(lambda: step.train(images, labels))
    tile_s = seconds_per_tile(state.network, task)
    state.network.load_state_dict(before[0])
    state.optimizer.load_state_dict(before[1])
    if scaler is not None:
        state.scaler.load_state_dict(scaler)
    return Pace(step_s, tile_s)


def seconds_per_tile(network: UNet, task: TrainingTask) -> float:
    """Of the validation at the end.

    In the device's usual format: whether the labels of a faster one agree with float32's is known only of a trained
    network.
    """
    device = next(network.parameters()).device
    number_format = FULL_PRECISION if task.full_precision else usual_format(device)
    # The mirrored copies of a tile go through together; a case may have no other tile.
    copies = 2 ** len(task.mirror_axes)
    images, _ = random_batch(task, min(copies, samples_at_once(device.type, task.configuration.patch_size)))

    def forward() -> float:
        with torch.inference_mode(), computing_in(number_format, device):
            return float(network(as_input(images, number_format, device)).mean())

    supervised, network.deep_supervision = network.deep_supervision, False
    network.eval()
    try:
        return _median_seconds(forward) / len(images)
    finally:
        network.deep_supervision = supervised


def local_batch_size(task: TrainingTask, rank: Rank) -> int:
    """Samples per step in one of the processes."""
    return len(positions_of_rank(task.configuration.batch_size, rank.rank, rank.world))


def random_batch(task: TrainingTask, batch_size: int) -> tuple[Tensor, Tensor]:
    """Images (b, c, *patch) float32 and labels (b, *patch) int16 of noise, the same each time."""
    generator = torch.Generator().manual_seed(0)
    patch = task.configuration.patch_size
    images = torch.randn((batch_size, task.channels, *patch), generator=generator)
    highest = max(task.label_scheme.foreground_labels)
    labels = torch.randint(0, highest + 1, (batch_size, *patch), generator=generator, dtype=torch.int16)
    return images, labels


def _median_seconds(work: Callable[[], float]) -> float:
    """Of a few runs after one that warms up. The work gives a number, so a GPU has finished it."""
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
