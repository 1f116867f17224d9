"""What stands in a fold's folder beside the checkpoints, for whoever looks: a log in words, and `debug.json`."""

from __future__ import annotations

import math
import platform
from datetime import datetime
from pathlib import Path

import torch

from .. import __version__
from ..errors import printable
from ..files import write_json
from ..planning import plan_to_json
from .epoch_log import EpochLog
from .task import TrainingTask

DEBUG_FILE = "debug.json"
LOG_NAME = "training_log_{:%Y_%m_%d_%H_%M_%S}.txt"
"""nnU-Net's, to the second; its tools and its users look for it."""


def write_debug(folder: Path, task: TrainingTask, device: str) -> None:
    """Everything that the training was started with, to be read by a person."""
    configuration = task.configuration
    write_json(
        folder / DEBUG_FILE,
        {
            "segautoplan": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "system": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "device": device,
            "gpu": torch.cuda.get_device_name() if device.startswith("cuda") else None,
            "recipe": vars(task.recipe),
            "seed": task.seed,
            "fold": task.fold,
            "minutes": task.budget.minutes if task.budget else None,
            "pretrained": str(task.pretrained.checkpoint) if task.pretrained else None,
            "dataset": task.plan.dataset_name,
            "preprocessed": str(task.preprocessed),
            "training_cases": list(task.training_cases),
            "validation_cases": list(task.validation_cases),
            "configuration_name": configuration.name,
            "configuration": plan_to_json(task.plan)["configurations"].get(configuration.name),
        },
    )


class TrainingLog:
    """A file of lines, each with its time; a new one for every start, as nnU-Net's.

    Every line is written and closed at once: a kill leaves all but the last.
    """

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        self.path = folder / LOG_NAME.format(now or datetime.now())

    def say(self, text: str) -> None:
        """Append one line."""
        stamp = datetime.now().isoformat(sep=" ")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{stamp}: {printable(text)}\n")

    def epoch(self, number: int, log: EpochLog, is_best: bool) -> None:
        """What an epoch came to; `number` counts from 0, as nnU-Net's does."""
        self.say(f"Epoch {number}")
        self.say(f"Current learning rate: {log.learning_rate:.5g}")
        self.say(f"train_loss {_rounded(log.train_loss)}")
        self.say(f"val_loss {_rounded(log.val_loss)}")
        self.say(f"Pseudo dice {[_rounded(value) for value in log.dice]}")
        self.say(f"Epoch time: {log.ended - log.started:.2f} s")
        if is_best:
            self.say(f"New best EMA pseudo Dice: {_rounded(log.ema_dice or math.nan)}")


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
