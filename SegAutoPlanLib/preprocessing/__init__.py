"""From images in any spacing and scale to arrays that a network can be fed with."""

from .case import PreprocessedCase, preprocess_case
from .dataset_preprocessing import preprocess_dataset
from .resampling import resample
from .storage import open_preprocessed, preprocessed_identifiers

__all__ = [
    "PreprocessedCase",
    "open_preprocessed",
    "preprocess_case",
    "preprocess_dataset",
    "preprocessed_identifiers",
    "resample",
]
