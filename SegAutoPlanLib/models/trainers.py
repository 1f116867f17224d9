"""What the name of a trainer says of its network: nnU-Net builds the network with the trainer's class."""

from __future__ import annotations

from collections.abc import Iterable

TRAINERS = {"instance": "nnUNetTrainer", "batch": "nnUNetTrainerBN"}
"""By normalisation of the features, nnU-Net's trainer that builds such a network."""
OTHER_NETWORKS = ("nnUNet_Primus",)
"""Beginnings of the names of nnU-Net's trainers whose networks are not those that the plan describes."""
RUNNING_MEAN = ".running_mean"


def normalization_of(trainer: str, tensors: Iterable[str]) -> str:
    """The normalisation of a trained network, `instance` or `batch`.

    Trainers of others may normalise over the batch too: their weights say so.

    Args:
        tensors: names of the weights.
    """
    is_batch = trainer.startswith(TRAINERS["batch"]) or any(name.endswith(RUNNING_MEAN) for name in tensors)
    return "batch" if is_batch else "instance"
