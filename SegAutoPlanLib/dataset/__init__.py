"""Raw datasets: nnU-Net's folders, described, listed, checked and split into folds."""

from .dataset import Case, Dataset
from .integrity import check_dataset
from .loading import find_cases, load_dataset
from .reading import read_case
from .report import IntegrityReport, Problem
from .splits import fold_cases, load_or_make_splits, make_splits

__all__ = [
    "Case",
    "Dataset",
    "IntegrityReport",
    "Problem",
    "check_dataset",
    "find_cases",
    "fold_cases",
    "load_dataset",
    "load_or_make_splits",
    "make_splits",
    "read_case",
]
