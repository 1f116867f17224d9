"""Losses made of losses."""

from __future__ import annotations

from torch import Tensor, nn


class SumOfLosses(nn.Module):
    """Terms of equal weight, each of the same logits and target."""

    def __init__(self, *terms: nn.Module) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        first, *others = (term(logits, target) for term in self.terms)
        return sum(others, start=first)
