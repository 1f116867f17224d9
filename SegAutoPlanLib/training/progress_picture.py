"""`progress.png`: the curves of a training, as nnU-Net's users expect them beside the checkpoints."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from ..files import atomic_path
from .epoch_log import EpochLog

FILE = "progress.png"
INCHES, DOTS_PER_INCH = (11, 7), 100
GREY = "0.45"


def picture_is_possible() -> bool:
    """Whether matplotlib is there, which nothing else needs."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def write_picture(path: Path, log: Sequence[EpochLog], classes: Sequence[str]) -> None:
    """Loss, Dice per class, learning rate and seconds per epoch over the epochs.

    Args:
        classes: names of the foreground classes, in the order of the log's Dice.

    Raises:
        UserInputError: the file cannot be written.
    """
    # Not pyplot: it would look for a window system, and keep every figure.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    (losses, dice), (rates, seconds) = figure.subplots(2, 2, sharex=True)
    epochs = range(1, len(log) + 1)
    style = {"marker": "o", "markersize": 3} if len(log) < 30 else {}

    losses.plot(epochs, [epoch.train_loss for epoch in log], label="training", **style)
    losses.plot(epochs, [epoch.val_loss for epoch in log], label="validation", **style)
    losses.set_title("Loss")
    losses.legend()

    for place, name in enumerate(classes):
        values = [epoch.dice[place] if place < len(epoch.dice) else math.nan for epoch in log]
        # More lines than a legend can hold are drawn faintly and without names.
        few = len(classes) <= 10
        dice.plot(epochs, values, label=name if few else None, alpha=0.9 if few else 0.3, linewidth=1, **style)
    moving = [math.nan if epoch.ema_dice is None else epoch.ema_dice for epoch in log]
    dice.plot(epochs, moving, label="moving mean", color="black", linewidth=2)
    dice.set_ylim(0, 1)
    dice.set_title("Dice on patches of unseen cases")
    dice.legend(loc="lower right")

    rates.plot(epochs, [epoch.learning_rate for epoch in log], color=GREY, **style)
    rates.set_title("Learning rate")
    seconds.plot(epochs, [epoch.ended - epoch.started for epoch in log], color=GREY, **style)
    seconds.set_ylim(bottom=0)
    seconds.set_title("Seconds per epoch")
    for axes in (rates, seconds):
        axes.set_xlabel("epoch")
    for axes in (losses, dice, rates, seconds):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
