"""One loss at every decoder resolution, halving in weight as the resolution falls."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def supervision_weights(outputs: int) -> tuple[float, ...]:
    """1, 1/2, 1/4 … with the lowest resolution left out, summing to 1.

    A network with a single output keeps it: nnU-Net's rule would divide 0 by 0 there.
    """
    weights = [0.5**level for level in range(outputs)]
    if outputs > 1:
        weights[-1] = 0.0
    total = sum(weights)
    return tuple(weight / total for weight in weights)


class DeepSupervision(nn.Module):
    """The weighted sum of `loss` over lists of logits and targets, full resolution first."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        # The output with weight 0 is kept in the sum: a distributed run waits for a gradient of every parameter.
        weights = supervision_weights(len(outputs))
        terms = [w * self.loss(output, target) for w, output, target in zip(weights, outputs, targets, strict=True)]
        return sum(terms[1:], start=terms[0])
