"""What a trained model is: its folder, its names, what it expects and what training left behind. Needs no torch."""

from .first_stage import first_stage_folder
from .model_folder import ModelFolder, TrainedFold, find_models
from .names import (
    CHECKPOINTS,
    FINGERPRINT_FILE,
    PLANS_FILE,
    SUMMARY_FILE,
    VALIDATION_FOLDER,
    ModelName,
    checkpoint_path,
    fold_of,
    fold_path,
    next_stage_path,
)
from .pretrained import ChosenCheckpoint, PretrainedModel, choose_checkpoint
from .summary import is_summary_file, mean_dice
from .trainers import OTHER_NETWORKS, TRAINERS, normalization_of
from .writing import write_model_files

__all__ = [
    "CHECKPOINTS",
    "FINGERPRINT_FILE",
    "OTHER_NETWORKS",
    "PLANS_FILE",
    "SUMMARY_FILE",
    "TRAINERS",
    "VALIDATION_FOLDER",
    "ChosenCheckpoint",
    "ModelFolder",
    "ModelName",
    "PretrainedModel",
    "TrainedFold",
    "checkpoint_path",
    "choose_checkpoint",
    "find_models",
    "first_stage_folder",
    "fold_of",
    "fold_path",
    "is_summary_file",
    "mean_dice",
    "next_stage_path",
    "normalization_of",
    "write_model_files",
]
