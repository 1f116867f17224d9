"""Plan and preprocessed cases → a trained fold.

Here is what a training is told, for which no torch is needed. `trainer.train_fold` trains, `distributed` joins several
processes, `launch` starts them; these need torch, and elastic deformation batchgenerators.
"""

from .epoch_log import EpochLog
from .find_recipe import find_recipe
from .freezing import FROZEN
from .recipe import Recipe
from .recipes import RECIPES
from .task import TrainingTask

__all__ = ["FROZEN", "RECIPES", "EpochLog", "Recipe", "TrainingTask", "find_recipe"]
