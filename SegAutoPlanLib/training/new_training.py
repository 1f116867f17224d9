"""A network, its optimiser and its loss before the first step."""

from __future__ import annotations

import torch
from torch.nn.parallel import DistributedDataParallel

from ..losses import build_loss
from ..losses.deep_supervision import DeepSupervision
from ..networks import UNet, build_network
from ..number_format import NumberFormat
from .distributed import ALONE, OverRanks, Ranks
from .freezing import freeze
from .recipe import Recipe
from .requirements import require_processes_for
from .state import TrainingState
from .step import TrainingStep
from .task import TrainingTask


def new_state(task: TrainingTask, device: torch.device, number_format: NumberFormat | None = None) -> TrainingState:
    """The task's network, as torch's generator draws it, and its optimiser.

    Args:
        number_format: None is the device's usual one.
    """
    recipe, scheme = task.recipe, task.label_scheme
    network = build_network(task.configuration.architecture, task.channels, scheme.head_count).to(device)
    network.deep_supervision = recipe.deep_supervision
    freeze(network, recipe.freeze)
    return TrainingState.fresh(network, recipe, device, number_format)


def new_step(task: TrainingTask, state: TrainingState, device: torch.device, ranks: Ranks = ALONE) -> TrainingStep:
    """The step that trains the state's network, together with the other processes if there are any.

    Raises:
        UserInputError: so many processes cannot share out a batch, or not normalise over it on this device.
    """
    recipe, scheme = task.recipe, task.label_scheme
    require_processes_for(ranks.world, task.configuration, device.type)
    over_ranks = OverRanks() if ranks.world > 1 else None
    loss = DeepSupervision(build_loss(recipe.loss, scheme, task.configuration.batch_dice, over_ranks))
    model = state.network if ranks.world == 1 else _over_ranks(state.network, recipe)
    return TrainingStep(model, state, loss, recipe, scheme, device)


def _over_ranks(network: UNet, recipe: Recipe) -> DistributedDataParallel:
    if recipe.normalization == "batch":
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    # Without deep supervision the lower heads get no gradient, which the processes must not wait for.
    return DistributedDataParallel(network, find_unused_parameters=not recipe.deep_supervision)
