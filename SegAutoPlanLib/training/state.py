"""Everything that changes while training, and its way into a checkpoint and back."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..networks import UNet, load_weights, read_checkpoint, require_fit, shapes_of, with_aliases, write_checkpoint
from ..networks.casting import can_compute, usual_format
from ..networks.weights import require_finite_tensors
from ..number_format import FULL_PRECISION, NumberFormat, number_format_of
from ..planning import plan_to_json
from ..schema import Rule
from .epoch_log import EpochLog, from_nnunet, to_nnunet
from .optimizers import OPTIMIZERS
from .recipe import Recipe
from .resume_gate import resumable
from .resume_record import ResumeRecord
from .task import TrainingTask


class NotFinite(ArithmeticError):
    """A loss, a gradient or a weight is not a finite number any more."""


@dataclass(frozen=True)
class Timed:
    """Where a training stands that ends by the clock; see `course`."""

    progress: float
    """Of the learning rate's schedule, from 0 to 1."""
    steps_left: float
    """Expected, from here to the end."""
    iterations_per_epoch: int
    spent_s: float = 0.0
    """Of training, up to here."""
    left_s: float = 0.0
    """For training and the validation at its end, from here."""

    def stepped(self) -> Timed:
        """After one step."""
        share = (1 - self.progress) / max(self.steps_left, 1.0)
        return replace(self, progress=min(self.progress + share, 1.0), steps_left=max(self.steps_left - 1, 0.0))


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
    log: tuple[EpochLog, ...] = ()
    """The finished epochs, oldest first."""
    best_ema: float | None = None
    number_format: NumberFormat = FULL_PRECISION
    """What the steps are computed in; a training that goes on keeps it."""
    training: int = 1
    """Which training of its fold this is (see `ResumeRecord`)."""
    timed: Timed | None = None
    """None where the recipe's epochs are what is trained."""

    @classmethod
    def fresh(
        cls, network: UNet, recipe: Recipe, device: torch.device, number_format: NumberFormat | None = None
    ) -> TrainingState:
        """Before the first step; without a format, in the device's usual one."""
        number_format = number_format or usual_format(device)
        optimizer = OPTIMIZERS[recipe.optimizer](network.parameters(), recipe)
        return cls(network, optimizer, _scaler_for(number_format, device), number_format=number_format)

    @property
    def ema_dice(self) -> float | None:
        """The moving average of the Dice after the last finished epoch."""
        return self.log[-1].ema_dice if self.log else None

    @property
    def seconds_trained(self) -> float:
        """What all finished epochs took, or all steps of a timed training."""
        if self.timed is not None:
            return self.timed.spent_s
        return sum(epoch.ended - epoch.started for epoch in self.log if epoch.ended > epoch.started)

    def finish_epoch(self, log: EpochLog) -> None:
        """Go on to the next epoch."""
        self.log = (*self.log, log)
        self.epoch, self.iteration, self.losses = self.epoch + 1, 0, []

    def save(self, path: Path, task: TrainingTask) -> None:
        """Write a checkpoint that nnU-Net reads and that needs no code to be read."""
        write_checkpoint(
            path,
            {
                "network_weights": with_aliases(self.network.state_dict()),
                "optimizer_state": self.optimizer.state_dict(),
                "grad_scaler_state": self.scaler.state_dict() if self.scaler else None,
                "logging": to_nnunet(self.log),
                "_best_ema": self.best_ema,
                "current_epoch": self.epoch,
                **_description(task),
                "segautoplan": ResumeRecord.of(
                    task,
                    training=self.training,
                    iteration=self.iteration,
                    losses_of_epoch=tuple(self.losses),
                    number_format=vars(self.number_format),
                    timed=asdict(self.timed) if self.timed else None,
                ).to_entry(),
            },
        )

    def load(self, path: Path, recipe: Recipe) -> None:
        """Continue from a checkpoint of ours or of nnU-Net.

        Raises:
            UserInputError: it belongs to another network, was trained for longer, or cannot be read.
        """
        content = read_checkpoint(path, self._fits(recipe, path), with_optimizer=True)
        load_weights(self.network, content["network_weights"], path)
        for state in content["optimizer_state"]["state"].values():
            require_finite_tensors(state, path)
        self.optimizer.load_state_dict(content["optimizer_state"])
        record = ResumeRecord.from_entry(content)
        if record.number_format is not None:
            device = next(self.network.parameters()).device
            began_in = number_format_of(dict(record.number_format))
            self.compute_in(began_in if can_compute(began_in, device) else usual_format(device))
        if self.scaler and content.get("grad_scaler_state"):
            self.scaler.load_state_dict(content["grad_scaler_state"])
        self.epoch = content["current_epoch"]
        best = content.get("_best_ema")
        # Nothing is better than NaN, which nnU-Net's average becomes once an epoch saw no class.
        self.best_ema = None if best is None or math.isnan(best) else float(best)
        self.log = from_nnunet(content["logging"])
        self.iteration, self.losses, self.training = record.iteration, list(record.losses_of_epoch), record.training
        self.timed = Timed(**record.timed) if record.timed else None

    def compute_in(self, number_format: NumberFormat) -> None:
        """Make the steps from here on in another format."""
        self.number_format = number_format
        self.scaler = _scaler_for(number_format, next(self.network.parameters()).device)

    def require_finite(self) -> None:
        """Refuse to keep a network that has gone wrong.

        Raises:
            NotFinite: a weight, or what the optimiser remembers of one, is NaN or infinite.
        """
        remembered = (value for state in self.optimizer.state.values() for value in state.values())
        tensors = [*self.network.state_dict().values(), *(value for value in remembered if torch.is_tensor(value))]
        checks = [torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point()]
        if not torch.stack([check.to(checks[0].device) for check in checks]).all():
            raise NotFinite

    def _fits(self, recipe: Recipe, path: Path) -> Rule:
        def check(content: Any) -> None:
            resumable(self.optimizer, recipe, path)(content)
            require_fit(shapes_of(self.network), content["network_weights"], path)

        return check


def _scaler_for(number_format: NumberFormat, device: torch.device) -> torch.amp.GradScaler | None:
    """Small gradients are lost in float16 alone."""
    return torch.amp.GradScaler(device.type) if number_format.precision == "float16" else None


def _description(task: TrainingTask) -> dict[str, Any]:
    """What a checkpoint says about itself beside the weights, by nnU-Net's keys."""
    return {
        "init_args": {
            "plans": plan_to_json(task.plan),
            "configuration": task.configuration_name,
            "fold": task.fold,
            "dataset_json": task.dataset_json.document,
            "device": torch.device("cpu"),
        },
        "trainer_name": task.recipe.trainer_name,
        "inference_allowed_mirroring_axes": task.mirror_axes or None,
    }
