"""What training a configuration needs of a computer, refused in a sentence before anything is preprocessed for it."""

from __future__ import annotations

import math

from ..errors import UserInputError
from ..labels import LabelScheme
from ..planning.budget import VALUE_BYTES, require_memory, require_network_fits
from ..planning.plan import Configuration
from .augmentation.geometry import augmentation_geometry
from .augmentation_presets import AUGMENTATIONS


def require_training_fits(
    configuration: Configuration,
    channels: int,
    label_scheme: LabelScheme,
    device: str,
    source: str,
    augmentation: str = "default",
) -> None:
    """Refuse a network or a patch that no computer like this can train with.

    Args:
        channels: of the network's input.
        device: `cpu`, `cuda` or `mps`; what a graphics card cannot hold, it says itself.
        source: the plan, to begin the sentence.
        augmentation: a name of augmentation_presets.AUGMENTATIONS; stronger ones need larger crops.

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
    )
    # A long thin patch that is turned sweeps over a large volume.
    crop = augmentation_geometry(configuration.patch_size, AUGMENTATIONS[augmentation].space).crop_size
    require_memory(
        math.prod(crop) * channels * VALUE_BYTES,
        f"{source}, {configuration.name}",
        f"a volume of {' × '.join(f'{edge:,}' for edge in crop)} voxels, from which a turned patch is cut,",
        "make the patch_size more even",
    )


def require_batch_for(world: int, batch_size: int) -> None:
    """Refuse more processes than a batch has samples.

    Raises:
        UserInputError: naming how many there may be.
    """
    if world > batch_size:
        raise UserInputError(
            f"--gpus: {world} processes cannot share out the plan's batch of {batch_size}; give at most {batch_size} "
            "in all, or plan with a larger batch."
        )
