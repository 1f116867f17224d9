"""The curves of a training: one record per epoch, and nnU-Net's form of them in a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

NNUNET_NAMES = {
    "mean_dice": "mean_fg_dice",
    "ema_dice": "ema_fg_dice",
    "dice": "dice_per_class_or_region",
    "train_loss": "train_losses",
    "val_loss": "val_losses",
    "learning_rate": "lrs",
    "started": "epoch_start_timestamps",
    "ended": "epoch_end_timestamps",
}
"""Each field's key in the checkpoint's `logging`, which holds one list per key with one value per epoch."""


@dataclass(frozen=True)
class EpochLog:
    """What one epoch came to; NaN where it is not known."""

    mean_dice: float = math.nan
    """Of the classes that the validation patches showed."""
    ema_dice: float | None = None
    """Moving average of `mean_dice` over the epochs; None before any class was seen."""
    dice: tuple[float, ...] = ()
    """Per foreground class; NaN for a class that is neither present nor predicted."""
    train_loss: float = math.nan
    val_loss: float = math.nan
    learning_rate: float = math.nan
    started: float = math.nan
    """Seconds since 1970."""
    ended: float = math.nan


def to_nnunet(log: Sequence[EpochLog]) -> dict[str, list[Any]]:
    """The checkpoint's `logging`: plain floats, and one list of floats per epoch for the Dice per class."""
    lists: dict[str, list[Any]] = {key: [] for key in NNUNET_NAMES.values()}
    for epoch in log:
        for field, key in NNUNET_NAMES.items():
            value = getattr(epoch, field)
            lists[key].append(list(value) if field == "dice" else value)
    return lists


def from_nnunet(logging: Mapping[str, Sequence[Any]]) -> tuple[EpochLog, ...]:
    """The epochs of a checkpoint's `logging`, ours or nnU-Net's, whose numbers may be numpy's.

    What a key or a shorter list leaves out is not known (NaN).
    """
    columns = [logging.get(key, ()) for key in NNUNET_NAMES.values()]
    return tuple(
        EpochLog(**{field: _value(field, value) for field, value in zip(NNUNET_NAMES, values, strict=True)})
        for values in zip_longest(*columns)
    )


def _value(field: str, value: Any) -> Any:
    if field == "dice":
        return tuple(_number(part) for part in value) if value is not None else ()
    number = _number(value)
    # nnU-Net's average stays NaN once an epoch saw no class; ours goes on.
    return None if field == "ema_dice" and math.isnan(number) else number


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
