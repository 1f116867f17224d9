"""When training goes wrong, in words, and what to do. Pure: the curves and the times in, sentences out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .epoch_log import EpochLog


@dataclass(frozen=True)
class Watched:
    """What is looked at after each epoch."""

    log: Sequence[EpochLog]
    """All epochs so far."""
    classes: Sequence[str]
    """Names of the foreground classes, in the order of the log's Dice."""
    iterations_per_epoch: int
    working_s: float = 0.0
    """Of the last epoch's training: the network's part."""
    waiting_s: float = 0.0
    """Of the same: until the batches were there."""
    memory_share: float = 0.0
    """Of the graphics card's memory, that is taken."""

    @property
    def last(self) -> EpochLog:
        return self.log[-1]

    @property
    def steps(self) -> int:
        return len(self.log) * self.iterations_per_epoch


@dataclass(frozen=True)
class Sign:
    """Something that is told once."""

    name: str
    message: str
    hint: str


STEPS_TO_SEE_SOMETHING = 1000
"""A network that has found nothing after so many does not begin later."""
STEPS_TO_SEE_A_CLASS = 5000
SEEN = 0.01
"""The Dice of a class of which something was found."""
SMOOTHED = 5
"""Epochs that are averaged before curves are compared."""
RISE = 0.03
"""Of the validation loss, which lies between -1 and a few: more than it trembles."""
WAITING = 0.5
"""Share of the network's time that waiting for data may take."""
LONG_ENOUGH_S = 10.0
"""Of an epoch: in a shorter one the loaders' start is what is waited for."""
FULL = 0.97


def loss_is_no_number(watched: Watched) -> Sign | None:
    """NaN or infinity."""
    if math.isfinite(watched.last.train_loss):
        return None
    return Sign(
        "loss",
        f"The loss of epoch {len(watched.log)} is not a finite number: the weights are lost.",
        "Resume from the last checkpoint with --precision full, or train anew with a lower learning rate.",
    )


def nothing_is_found(watched: Watched) -> Sign | None:
    """The Dice of every class stays at 0."""
    recent = watched.log[-SMOOTHED:]
    values = [value for epoch in recent for value in epoch.dice if not math.isnan(value)]
    if watched.steps < STEPS_TO_SEE_SOMETHING or not values or max(values) >= SEEN:
        return None
    return Sign(
        "nothing",
        f"After {watched.steps:,} steps the network still finds nothing: the Dice of every class is 0.",
        "Check that the labels lie on the images (check DATASET), and try a lower learning rate or --loss dice_ce.",
    )


def a_class_is_not_found(watched: Watched) -> Sign | None:
    """The Dice of one class stays at 0 while others rise."""
    recent = watched.log[-SMOOTHED:]
    if watched.steps < STEPS_TO_SEE_A_CLASS or len(recent) < SMOOTHED:
        return None
    missed = []
    for place, name in enumerate(watched.classes):
        values = [epoch.dice[place] for epoch in recent if place < len(epoch.dice)]
        known = [value for value in values if not math.isnan(value)]
        if len(known) == SMOOTHED and max(known) < SEEN:
            missed.append(name)
    if not missed or len(missed) == len(watched.classes):
        return None
    return Sign(
        "class",
        f"After {watched.steps:,} steps the network has not found anything of {', '.join(missed)}.",
        "Rare or tiny structures need more cases or more time; a loss such as focal_tversky weighs them more.",
    )


def it_learns_by_heart(watched: Watched) -> Sign | None:
    """The training loss falls on while that of validation has been rising."""
    epochs = [epoch for epoch in watched.log if math.isfinite(epoch.val_loss) and math.isfinite(epoch.train_loss)]
    if len(epochs) < 4 * SMOOTHED:
        return None
    validation = _smoothed([epoch.val_loss for epoch in epochs])
    training = _smoothed([epoch.train_loss for epoch in epochs])
    lowest = min(range(len(validation)), key=validation.__getitem__)
    since = len(validation) - 1 - lowest
    rising = validation[-1] - validation[lowest] > RISE and since >= 2 * SMOOTHED
    if not rising or training[-1] >= training[lowest]:
        return None
    best = max(epoch.ema_dice or 0 for epoch in epochs)
    return Sign(
        "overfitting",
        f"The loss on unseen cases has been rising for {since} epochs while that of training still falls: the network "
        f"begins to learn its cases by heart (best moving Dice {best:.3f}, now {epochs[-1].ema_dice or 0:.3f}).",
        "More cases help most; else stop here and use checkpoint_best, or a recipe with stronger augmentation (da5).",
    )


def data_comes_too_slowly(watched: Watched) -> Sign | None:
    """Loading takes more than half as long as the network."""
    is_short = watched.waiting_s + watched.working_s < LONG_ENOUGH_S
    if is_short or watched.waiting_s <= WAITING * watched.working_s:
        return None
    return Sign(
        "data",
        f"The network waits for its data: {watched.waiting_s:.0f} s in the last epoch, beside "
        f"{watched.working_s:.0f} s of computing.",
        "More processor cores, preprocessed cases on a local disk, or a recipe with less augmentation make it faster.",
    )


def memory_is_nearly_full(watched: Watched) -> Sign | None:
    """Of a graphics card."""
    if watched.memory_share < FULL:
        return None
    return Sign(
        "memory",
        f"{watched.memory_share:.0%} of the graphics card's memory is taken: the training may end for want of it.",
        "Close other programs that use the card, or plan with less (plan --gpu-memory-gb).",
    )


SIGNS: tuple[Callable[[Watched], Sign | None], ...] = (
    loss_is_no_number,
    nothing_is_found,
    a_class_is_not_found,
    it_learns_by_heart,
    data_comes_too_slowly,
    memory_is_nearly_full,
)


def signs_of(watched: Watched) -> list[Sign]:
    """Everything that does not look right after an epoch."""
    return [sign for look in SIGNS if (sign := look(watched)) is not None]


def _smoothed(values: Sequence[float]) -> list[float]:
    """Means of `SMOOTHED` neighbours."""
    total = [0.0]
    for value in values:
        total.append(total[-1] + value)
    return [(total[i + SMOOTHED] - total[i]) / SMOOTHED for i in range(len(values) - SMOOTHED + 1)]
