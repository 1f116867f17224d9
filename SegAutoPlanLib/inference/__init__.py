"""Model folder and images → segmentations on the images' own grids."""

from .ensemble import Ensemble, load_ensemble
from .model import TrainedModel, load_model
from .predict import SegmentCasesOptions, segment_cases
from .predictor import Predictor
from .predictor_input import ArrayCase
from .segment import Segmentation, Segmenter

__all__ = [
    "ArrayCase",
    "Ensemble",
    "Predictor",
    "SegmentCasesOptions",
    "Segmentation",
    "Segmenter",
    "TrainedModel",
    "load_ensemble",
    "load_model",
    "segment_cases",
]
