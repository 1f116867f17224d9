"""Everything that changes while training, and its way into a checkpoint and back."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import __version__
from ..errors import UserInputError
from ..networks import UNet, with_aliases, without_aliases
from ..networks.checkpoint import read_checkpoint, write_checkpoint
from ..planning.plan import Configuration
from .recipe import Recipe

LOG_NAMES = (
    "mean_fg_dice",
    "ema_fg_dice",
    "dice_per_class_or_region",
    "train_losses",
    "val_losses",
    "lrs",
    "epoch_start_timestamps",
    "epoch_end_timestamps",
)
"""nnU-Net's names of the curves that a checkpoint carries, a value an epoch."""


@dataclass
class TrainingState:
    """The network, its optimiser, and how far they are."""

    network: UNet
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None
    epoch: int = 0
    """Finished epochs."""
    iteration: int = 0
    """Finished iterations of the running epoch; not 0 only in a checkpoint of a stopped epoch."""
    losses: list[float] = field(default_factory=list)
    """Training losses of the running epoch."""
    log: dict[str, list] = field(default_factory=lambda: {name: [] for name in LOG_NAMES})
    best_ema: float | None = None

    @classmethod
    def fresh(cls, network: UNet, recipe: Recipe, device: torch.device) -> TrainingState:
        optimizer = torch.optim.SGD(
            network.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.momentum > 0,
        )
        return cls(network, optimizer, torch.amp.GradScaler() if device.type == "cuda" else None)

    @property
    def ema_dice(self) -> float | None:
        return self.log["ema_fg_dice"][-1] if self.log["ema_fg_dice"] else None

    def save(self, path: Path, context: CheckpointContext) -> None:
        """Write a checkpoint that nnU-Net reads and that needs no code to be read."""
        write_checkpoint(
            path,
            {
                "network_weights": with_aliases(self.network.state_dict()),
                "optimizer_state": self.optimizer.state_dict(),
                "grad_scaler_state": self.scaler.state_dict() if self.scaler else None,
                "logging": self.log,
                "_best_ema": self.best_ema,
                "current_epoch": self.epoch,
                "init_args": {
                    "plans": context.plan_document,
                    "configuration": context.configuration.name,
                    "fold": context.fold,
                    "dataset_json": context.dataset_json,
                    "device": torch.device("cpu"),
                },
                "trainer_name": context.recipe.trainer_name,
                "inference_allowed_mirroring_axes": context.mirror_axes,
                "segautoplan": {
                    "version": __version__,
                    "torch": str(torch.__version__),
                    "python": platform.python_version(),
                    "recipe": vars(context.recipe),
                    "seed": context.seed,
                    "iteration": self.iteration,
                    "losses_of_epoch": self.losses,
                },
            },
        )

    def load(self, path: Path, context: CheckpointContext) -> None:
        """Continue from a checkpoint of ours or of nnU-Net.

        Raises:
            UserInputError: it belongs to another network, or it cannot be read.
        """
        content = read_checkpoint(path)
        load_weights(self.network, content["network_weights"], path)
        self.optimizer.load_state_dict(content["optimizer_state"])
        if self.scaler and content.get("grad_scaler_state"):
            self.scaler.load_state_dict(content["grad_scaler_state"])
        self.epoch = int(content["current_epoch"])
        self.best_ema = content.get("_best_ema")
        for name in LOG_NAMES:
            # nnU-Net logs numpy scalars; plain floats keep our own files readable with weights_only.
            self.log[name] = _plain(content["logging"].get(name, []))
        ours = content.get("segautoplan", {})
        self.iteration = int(ours.get("iteration", 0))
        self.losses = list(ours.get("losses_of_epoch", []))
        if self.epoch > context.recipe.epochs:
            raise UserInputError(
                f"{path}: has already been trained for {self.epoch} epochs; give --epochs above that to continue it."
            )


@dataclass(frozen=True)
class CheckpointContext:
    """What a checkpoint says about itself beside the weights."""

    plan_document: dict[str, Any]
    configuration: Configuration
    fold: int | str
    dataset_json: dict[str, Any]
    recipe: Recipe
    seed: int

    @property
    def mirror_axes(self) -> tuple[int, ...] | None:
        return tuple(range(len(self.configuration.patch_size))) if self.recipe.mirror else None


def load_weights(network: nn.Module, weights: dict[str, Any], source: Path) -> None:
    """Load a state dict with or without nnU-Net's aliases.

    Raises:
        UserInputError: it does not fit this network.
    """
    weights = without_aliases(weights)
    expected = network.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    surplus = sorted(weights.keys() - expected.keys())
    misfits = [name for name in expected.keys() & weights.keys() if expected[name].shape != weights[name].shape]
    wrong = missing or surplus or misfits
    if wrong:
        raise UserInputError(
            f"{source}: does not fit the network of its plan (first difference: {wrong[0]}); "
            "the checkpoint belongs to another plan, configuration or network."
        )
    network.load_state_dict(weights)


def load_pretrained(network: nn.Module, path: Path) -> None:
    """Take all weights but those of the segmentation heads, which depend on the labels.

    Raises:
        UserInputError: another network, or a file that cannot be read.
    """
    own = network.state_dict()
    weights = without_aliases(read_checkpoint(path)["network_weights"])
    heads = {name: tensor for name, tensor in own.items() if ".seg_layers." in name}
    body = {name: tensor for name, tensor in weights.items() if ".seg_layers." not in name}
    load_weights(network, {**body, **heads}, path)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if value is None else float(value)
