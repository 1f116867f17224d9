"""What `train` is asked for, and what of it excludes what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError
from ..models import fold_of
from ..number_format import AUTOMATIC, PRECISION_CHOICES
from ..planning.presets import FULL_PLANS_NAME
from ..schema import one_of
from ..training import Recipe, find_recipe
from .option_rules import COUNT, LENGTH, MINUTES, SEED, require_option, require_plans_name, require_rendezvous

SHORT_BUDGET_MINUTES = 120
"""A longer one is for nnU-Net's own recipe: what makes a short training better is in the way of a long one."""


@dataclass(frozen=True)
class TrainOptions:
    """Which fold to train, and how."""

    dataset: str | Path
    """An id, a name, or the folder of a raw dataset."""
    configuration: str
    """`2d`, `3d_fullres`, `3d_lowres` or a user's own."""
    fold: int | str
    """A number, or `all`: every case both trains and validates."""
    plans_name: str = FULL_PLANS_NAME
    recipe: str | None = None
    """A row of the table, a trainer of nnU-Net, or a file; None is nnU-Net's default, with few `minutes` the one for
    short trainings."""
    epochs: int | None = None
    iterations: int | None = None
    """Training steps per epoch."""
    loss: str | None = None
    minutes: float | None = None
    """How long everything may take, instead of epochs: as many steps are made as there is time for."""
    device: str = "auto"
    gpus: int = 1
    """Processes, one per GPU, on each computer."""
    nodes: int = 1
    """Computers, on each of which the same training is started."""
    rendezvous: str | None = None
    """`HOST:PORT` of one of several computers, where they find each other."""
    resume: bool = False
    pretrained: Path | None = None
    """A checkpoint, a fold's folder or a model's: the weights that fit are where training starts."""
    freeze: str | None = None
    """Instead of the recipe's: `none`, `encoder` or `all_but_heads`."""
    save_probabilities: bool = False
    validate_only: str | None = None
    """`best` or `final`: no training, only the validation cases with that checkpoint."""
    checkpoints: bool = True
    """Whether to write any but the final one."""
    seed: int = 12345
    precision: str = AUTOMATIC
    """`auto`: the number format that is the fastest here; `full`: float32."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fold", fold_of(self.fold))
        require_plans_name(self.plans_name)
        require_option("--epochs", self.epochs, LENGTH)
        require_option("--iterations", self.iterations, LENGTH)
        require_option("--minutes", self.minutes, MINUTES)
        if self.minutes is not None and (self.epochs is not None or self.iterations is not None):
            raise UserInputError("--minutes: says how long to train, and so do --epochs and --iterations; give one.")
        require_option("--gpus", self.gpus, COUNT)
        require_option("--nodes", self.nodes, COUNT)
        require_rendezvous(self.nodes, self.rendezvous)
        require_option("--seed", self.seed, SEED)
        require_option("--precision", self.precision, one_of(*PRECISION_CHOICES))


def recipe_of(options: TrainOptions) -> Recipe:
    """The recipe that the options name, with what they say otherwise.

    Raises:
        UserInputError: there is none of that name, its file is wrong, or it measures only and the options ask for more.
    """
    name = options.recipe or _recipe_for(options.minutes)
    recipe = find_recipe(name, options.epochs, options.iterations, options.loss, options.freeze)
    _require_possible(recipe, options)
    return recipe


def _recipe_for(minutes: float | None) -> str:
    return "timed" if minutes is not None and minutes <= SHORT_BUDGET_MINUTES else "default"


def _require_possible(recipe: Recipe, options: TrainOptions) -> None:
    given = {
        "--resume": options.resume,
        "--validate-only": options.validate_only is not None,
        "--minutes": options.minutes is not None,
    }
    for option in (option for option, is_given in given.items() if is_given and recipe.is_benchmark):
        raise UserInputError(f"{option}: --recipe {recipe.name} is a benchmark, which keeps no network; leave it out.")
