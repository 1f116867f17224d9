"""Plan and preprocessed cases → a trained fold. Importing this needs torch; training itself, batchgenerators."""

from .recipe import RECIPES, Recipe, find_recipe
from .splits import fold_cases, load_or_make_splits, make_splits
from .state import CheckpointContext
from .trainer import TrainingTask, train

__all__ = [
    "RECIPES",
    "CheckpointContext",
    "Recipe",
    "TrainingTask",
    "find_recipe",
    "fold_cases",
    "load_or_make_splits",
    "make_splits",
    "train",
]
