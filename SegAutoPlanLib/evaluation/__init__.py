"""Segmentations and references → Dice and its relatives, in nnU-Net's summary.json."""

from .evaluate import agreement, evaluate_case, evaluate_folder
from .records import METRICS, CaseEvaluation, CaseProblem, Evaluation
from .summary import read_summary

__all__ = [
    "METRICS",
    "CaseEvaluation",
    "CaseProblem",
    "Evaluation",
    "agreement",
    "evaluate_case",
    "evaluate_folder",
    "read_summary",
]
