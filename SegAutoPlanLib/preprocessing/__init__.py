"""From images in any spacing and scale to arrays that a network can be fed with."""

from .case import PreprocessedCase, preprocess_case
from .case_geometry import CaseGeometry
from .dataset_preprocessing import preprocess_dataset
from .resampling import resample
from .storage import TrainingCase, open_preprocessed, open_training_case, preprocessed_identifiers

__all__ = [
    "CaseGeometry",
    "PreprocessedCase",
    "TrainingCase",
    "open_preprocessed",
    "open_training_case",
    "preprocess_case",
    "preprocess_dataset",
    "preprocessed_identifiers",
    "resample",
]
