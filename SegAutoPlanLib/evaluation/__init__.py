"""Segmentations and references → Dice and its relatives, in nnU-Net's summary.json."""

from .evaluate import Evaluation, agreement, evaluate_case, evaluate_folder

__all__ = ["Evaluation", "agreement", "evaluate_case", "evaluate_folder"]
