"""Model folder and images → segmentations on the images' own grids."""

from .model import TrainedModel, load_model
from .predict import SegmentCasesOptions, segment_cases
from .segment import Segmentation, Segmenter

__all__ = [
    "SegmentCasesOptions",
    "Segmentation",
    "Segmenter",
    "TrainedModel",
    "load_model",
    "segment_cases",
]
