"""Plan and preprocessed cases → a trained fold. Importing this needs torch; training itself, batchgenerators."""

from .distributed import ALONE, Ranks, join_ranks, leave_ranks
from .recipe import RECIPES, Recipe, find_recipe
from .state import CheckpointContext
from .trainer import TrainingTask, train_fold

__all__ = [
    "ALONE",
    "RECIPES",
    "CheckpointContext",
    "Ranks",
    "Recipe",
    "TrainingTask",
    "find_recipe",
    "join_ranks",
    "leave_ranks",
    "train_fold",
]
