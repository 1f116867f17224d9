"""One batch through the network: the loss of it, and in training one step of the optimiser."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..labels import LabelScheme
from ..networks.casting import as_input, computing_in
from .freezing import keep_frozen_statistics
from .recipe import Recipe
from .state import NotFinite, TrainingState
from .targets import full_resolution_target, supervision_targets

SMALLEST_SCALE = 2.0**-20
"""Of the losses in float16. It begins at 2^16 and halves with every step that overflows."""


@dataclass(frozen=True)
class Forward:
    """What the network makes of a batch."""

    loss: Tensor
    """A scalar that carries a gradient, if one is wanted."""
    logits: Tensor
    """(b, heads, *space), full resolution."""
    target: Tensor
    """As the loss takes it: (b, *space) of label values, or (b, regions [+ ignored], *space)."""


class TrainingStep:
    """The arithmetic of a training, which knows nothing of epochs, files or reports.

    Args:
        model: the network of `state`, wrapped if there are several processes.
        loss: of lists of logits and targets, full resolution first.
    """

    def __init__(
        self,
        model: nn.Module,
        state: TrainingState,
        loss: nn.Module,
        recipe: Recipe,
        label_scheme: LabelScheme,
        device: torch.device,
    ) -> None:
        self._model, self._state, self._loss = model, state, loss
        self._recipe, self._label_scheme, self._device = recipe, label_scheme, device

    def train(self, images: Tensor, labels: Tensor) -> float:
        """One step of the optimiser; the loss before it.

        Args:
            images: (b, c, *patch) float32.
            labels: (b, *patch), -1 outside the image.

        Raises:
            NotFinite: in every process of a distributed run: the gradient is NaN or infinite, and the weights are
                those before the step. In float16, where single steps overflow and are left out: none did not for long.
        """
        self._model.train()
        keep_frozen_statistics(self._state.network, self._recipe.freeze)
        optimizer, scaler = self._state.optimizer, self._state.scaler
        optimizer.zero_grad(set_to_none=True)
        loss = self._forward(images, labels).loss
        if scaler is None:
            loss.backward()
            # The norm of what all processes together found: it is finite in all of them or in none.
            if not torch.isfinite(self._clip()):
                raise NotFinite
            optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            self._clip()
            scaler.step(optimizer)
            scaler.update()
            if scaler.get_scale() < SMALLEST_SCALE:
                raise NotFinite
        return float(loss.detach())

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor) -> Forward:
        """The same batch without learning from it."""
        self._model.eval()
        return self._forward(images, labels)

    def _forward(self, images: Tensor, labels: Tensor) -> Forward:
        number_format = self._state.number_format
        target = full_resolution_target(labels.to(self._device, non_blocking=True), self._label_scheme)
        with computing_in(number_format, self._device):
            outputs = self._model(as_input(images, number_format, self._device))
        # The loss and its gradient are float32 in every format.
        outputs = [output.float() for output in (outputs if self._recipe.deep_supervision else [outputs])]
        targets = supervision_targets(target, self._label_scheme, [output.shape[2:] for output in outputs])
        return Forward(self._loss(outputs, targets), outputs[0], target)

    def _clip(self) -> Tensor:
        return torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._recipe.gradient_clip)
