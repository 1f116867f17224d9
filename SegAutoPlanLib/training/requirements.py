"""What training a configuration needs of a computer, refused in a sentence before anything is preprocessed for it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch

from ..errors import UserInputError, is_out_of_memory
from ..labels import LabelScheme
from ..planning.budget import VALUE_BYTES, require_memory, require_network_fits, training_bytes, training_remedy
from ..planning.plan import Configuration
from .augmentation.geometry import augmentation_geometry
from .augmentation_presets import AUGMENTATIONS
from .optimizers import MOMENTS
from .task import TrainingTask


def require_training_fits(
    configuration: Configuration,
    channels: int,
    label_scheme: LabelScheme,
    device: str,
    source: str,
    augmentation: str = "default",
    optimizer: str = "sgd",
) -> None:
    """Refuse a network or a patch that no computer like this can train with.

    Args:
        channels: of the network's input.
        device: `cpu`, `cuda` or `mps`; what a graphics card cannot hold, it says itself.
        source: the plan, to begin the sentence.
        augmentation: a name of augmentation_presets.AUGMENTATIONS; stronger ones need larger crops.
        optimizer: a name of optimizers.MOMENTS.

    Raises:
        UserInputError: it cannot; the sentence tells the numbers.
    """
    require_network_fits(
        configuration.architecture,
        channels,
        label_scheme.head_count,
        configuration.patch_size,
        configuration.batch_size,
        f"{source}, {configuration.name}",
        training=True,
        device=device,
        moments=MOMENTS[optimizer],
    )
    # A long thin patch that is turned sweeps over a large volume.
    crop = augmentation_geometry(configuration.patch_size, AUGMENTATIONS[augmentation].space).crop_size
    require_memory(
        math.prod(crop) * channels * VALUE_BYTES,
        f"{source}, {configuration.name}",
        f"a volume of {' × '.join(f'{edge:,}' for edge in crop)} voxels, from which a turned patch is cut,",
        "make the patch_size more even",
    )


@contextlib.contextmanager
def memory_in_a_sentence(task: TrainingTask, device: torch.device) -> Iterator[None]:
    """Where the block runs out of the device's memory, say which batch or planner fits.

    Raises:
        UserInputError: instead of the error that says so.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or device.type != "cuda":
            raise
        raise UserInputError(
            _too_large_for_card(task, torch.cuda.get_device_properties(device).total_memory)
        ) from error


def _too_large_for_card(task: TrainingTask, memory: int) -> str:
    configuration = task.configuration
    architecture, batch_size = configuration.architecture, configuration.batch_size
    needed, fixed = (
        training_bytes(
            architecture,
            task.channels,
            task.label_scheme.head_count,
            configuration.patch_size,
            batch,
            MOMENTS[task.recipe.optimizer],
        )
        for batch in (batch_size, 0)
    )
    return (
        f"{configuration.name}: a training step of the network with a batch_size of {batch_size} did not fit into the "
        f"graphics card's memory of {memory / 2**30:.0f} GB; close what else uses it, or: "
        f"{training_remedy(memory, needed, architecture, fixed, batch_size)}."
    )


def require_processes_for(world: int, configuration: Configuration, device: str) -> None:
    """Refuse so many processes where they cannot share a batch out.

    Args:
        world: processes in all.
        device: `cpu`, `cuda` or `mps`.

    Raises:
        UserInputError: there are more than samples, or the network normalises over the batch, which torch can do over
            processes on CUDA only.
    """
    if world > 1 and configuration.architecture.normalization == "batch" and device != "cuda":
        raise UserInputError(
            f"--gpus: the network of {configuration.name} normalises over the batch, which several processes can only "
            "do on GPUs; train in one process, or with another recipe."
        )
    batch_size = configuration.batch_size
    if world > batch_size:
        raise UserInputError(
            f"--gpus: {world} processes cannot share out the plan's batch of {batch_size}; give at most {batch_size} "
            "in all, or plan with a larger batch."
        )
