"""Plan and preprocessed cases → a trained fold. Importing this needs torch; training itself, batchgenerators."""

from .distributed import ALONE, Ranks, joined
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
    "joined",
    "train_fold",
]
