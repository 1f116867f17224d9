"""Model folder and images → segmentations on the images' own grids."""

from .model import TrainedModel, available_folds, load_model
from .predict import PredictOptions, predict
from .segment import Segmentation, Segmenter

__all__ = [
    "PredictOptions",
    "Segmentation",
    "Segmenter",
    "TrainedModel",
    "available_folds",
    "load_model",
    "predict",
]
