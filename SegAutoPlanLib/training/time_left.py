"""How long a training will still take, from its first minute on."""

from __future__ import annotations

from dataclasses import dataclass

from .recipe import Recipe

FORWARD_SHARE = 1 / 3
"""Of a training step's time, that a batch of validation takes: going forward is a third of forward and backward."""
RECENT = 50
"""Steps over which the pace is averaged."""


@dataclass
class TimeLeft:
    """Listens to the steps and the epochs; knows the pace of either.

    Args:
        validation_batches: what the validation of whole cases at the end comes to, in batches.
    """

    recipe: Recipe
    validation_batches: float = 0.0
    _step_s: float | None = None
    _steps: int = 0
    _evaluation_s: float | None = None

    def stepped(self, seconds: float) -> None:
        """A training step, with the waiting for its batch."""
        self._steps += 1
        # The first also pays for warming up.
        if self._steps > 1:
            share = max(1 / (self._steps - 1), 1 / RECENT)
            self._step_s = seconds if self._step_s is None else (1 - share) * self._step_s + share * seconds

    def validated(self, seconds: float) -> None:
        """The end of an epoch: its validation and checkpoints."""
        self._evaluation_s = seconds

    def seconds(self, epoch: int, iteration: int, epochs: int) -> float | None:
        """From there to the end; None before there is a pace."""
        if self._step_s is None:
            return None
        steps = (epochs - epoch) * self.recipe.iterations_per_epoch - iteration
        forward_s = FORWARD_SHARE * self._step_s
        of_epoch = self._evaluation_s
        if of_epoch is None:
            of_epoch = forward_s * self.recipe.validation_iterations
        return steps * self._step_s + (epochs - epoch) * of_epoch + self.validation_batches * forward_s
