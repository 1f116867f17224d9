"""How long and how hard to train: one frozen record, its variants rows of a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import UserInputError


@dataclass(frozen=True)
class Recipe:
    """Everything about a training that the plan does not decide. The defaults are nnU-Net's."""

    name: str = "default"
    epochs: int = 1000
    iterations_per_epoch: int = 250
    validation_iterations: int = 50
    learning_rate: float = 1e-2
    momentum: float = 0.99
    weight_decay: float = 3e-5
    polynomial_power: float = 0.9
    gradient_clip: float = 12.0
    oversample_foreground: float = 0.33
    """Share of each batch that must contain foreground."""
    loss: str | None = None
    """A name of `losses.LOSSES`; None is the one that fits the labels."""
    augment: bool = True
    mirror: bool = True
    """Mirror along all axes in training; inference may then mirror too."""
    checkpoint_every: int = 50
    """Epochs between two `checkpoint_latest.pth`; a stop always writes one."""
    trainer_name: str = "nnUNetTrainer"
    """What nnU-Net's tools are told the trainer was (a name they know), and the result folder's first part."""

    def learning_rate_at(self, epoch: int) -> float:
        """Polynomial decay, constant within an epoch: lr · (1 - epoch/epochs)^power."""
        return self.learning_rate * (1 - epoch / self.epochs) ** self.polynomial_power


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(),
        Recipe(name="250epochs", epochs=250, trainer_name="nnUNetTrainer_250epochs"),
        Recipe(name="nomirroring", mirror=False, trainer_name="nnUNetTrainerNoMirroring"),
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


def find_recipe(name: str, epochs: int | None = None, iterations: int | None = None, loss: str | None = None) -> Recipe:
    """A row of the table with its length or loss changed.

    Raises:
        UserInputError: no recipe has that name, or a length is below 1.
    """
    if name not in RECIPES:
        raise UserInputError(f"--recipe {name}: there is no such recipe; choose one of {', '.join(sorted(RECIPES))}.")
    recipe = RECIPES[name]
    for option, value in (("--epochs", epochs), ("--iterations", iterations)):
        if value is not None and value < 1:
            raise UserInputError(f"{option} {value}: must be at least 1.")
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
