"""How long, how hard and on what to train: one frozen record, its variants rows of a table. No torch needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import UserInputError
from .freezing import FROZEN
from .mirroring import MIRRORINGS


@dataclass(frozen=True)
class Recipe:
    """Everything about a training that the plan does not decide. The defaults are nnU-Net's.

    What is named here is a row of a table of its own: a variant of nnU-Net is a row below, and at most one function
    there.
    """

    name: str = "default"
    epochs: int = 1000
    iterations_per_epoch: int = 250
    validation_iterations: int = 50
    optimizer: str = "sgd"
    """A name of optimizers.OPTIMIZERS."""
    learning_rate: float = 1e-2
    momentum: float = 0.99
    weight_decay: float = 3e-5
    gradient_clip: float = 12.0
    """The largest norm of a step's gradient."""
    schedule: str = "poly"
    """A name of schedules.SCHEDULES."""
    polynomial_power: float = 0.9
    loss: str | None = None
    """A name of losses.LOSSES; None is the one that fits the labels."""
    deep_supervision: bool = True
    """Whether the loss sees every resolution of the decoder, or only the full one."""
    augmentation: str = "default"
    """A name of augmentation_presets.AUGMENTATIONS."""
    mirroring: str = "all"
    """A name of mirroring.MIRRORINGS: in training; inference may then mirror along the same axes."""
    oversample_foreground: float = 0.33
    """Share of each batch that must contain foreground."""
    checkpoint_every: int = 50
    """Epochs between two `checkpoint_latest.pth`; a stop always writes one."""
    freeze: str = "none"
    """A name of freezing.FROZEN: what stays as it was at the start."""
    trainer_name: str = "nnUNetTrainer"
    """What nnU-Net's tools are told the trainer was (a name they know), and the result folder's first part."""

    def mirror_axes(self, dimensions: int) -> tuple[int, ...]:
        """The spatial axes (transposed order) that are mirrored in training."""
        return MIRRORINGS[self.mirroring](dimensions)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(),
        Recipe(name="250epochs", epochs=250, trainer_name="nnUNetTrainer_250epochs"),
        Recipe(name="nomirroring", mirroring="none", trainer_name="nnUNetTrainerNoMirroring"),
        Recipe(name="noaugmentation", augmentation="none", mirroring="none", trainer_name="nnUNetTrainerNoDA"),
        Recipe(name="nodeepsupervision", deep_supervision=False, trainer_name="nnUNetTrainerNoDeepSupervision"),
        # From trained weights (--pretrained): large steps would forget what they hold, and less is left to learn.
        Recipe(name="finetune", epochs=100, learning_rate=1e-3, trainer_name="nnUNetTrainer_100epochs"),
        # Minutes on a CPU: enough to see a network learn, not to publish. Momentum 0.99 needs more steps to gather
        # speed than these have; with 0.9 the step size makes up for it.
        Recipe(
            name="short",
            epochs=10,
            iterations_per_epoch=25,
            validation_iterations=5,
            momentum=0.9,
            learning_rate=5e-2,
            checkpoint_every=1,
        ),
    )
}


def find_recipe(
    name: str,
    epochs: int | None = None,
    iterations: int | None = None,
    loss: str | None = None,
    freeze: str | None = None,
) -> Recipe:
    """A row of the table with its length, its loss or what it freezes changed.

    Raises:
        UserInputError: no recipe has that name, or a length is below 1.
    """
    if name not in RECIPES:
        raise UserInputError(f"--recipe {name}: there is no such recipe; choose one of {', '.join(sorted(RECIPES))}.")
    recipe = RECIPES[name]
    for option, value in (("--epochs", epochs), ("--iterations", iterations)):
        if value is not None and value < 1:
            raise UserInputError(f"{option} {value}: must be at least 1.")
    if freeze is not None:
        if freeze not in FROZEN:
            raise UserInputError(f"--freeze {freeze}: must be one of {', '.join(FROZEN)}.")
        recipe = replace(recipe, freeze=freeze)
    if loss is not None:
        recipe = replace(recipe, loss=loss)
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    if iterations is not None:
        recipe = replace(
            recipe,
            iterations_per_epoch=iterations,
            validation_iterations=min(recipe.validation_iterations, max(1, iterations // 5)),
        )
    return recipe
