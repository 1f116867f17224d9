"""Plan and preprocessed cases → a trained fold. Importing this needs torch; training itself, batchgenerators."""

from .distributed import ALONE, Ranks, join_ranks, leave_ranks
from .recipe import RECIPES, Recipe, find_recipe
from .splits import fold_cases, load_or_make_splits, make_splits
from .state import CheckpointContext
from .trainer import TrainingTask, train

__all__ = [
    "ALONE",
    "RECIPES",
    "CheckpointContext",
    "Ranks",
    "Recipe",
    "TrainingTask",
    "find_recipe",
    "fold_cases",
    "join_ranks",
    "leave_ranks",
    "load_or_make_splits",
    "make_splits",
    "train",
]
