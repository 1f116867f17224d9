"""Powers whose gradient is finite at 0."""

from __future__ import annotations

import torch
from torch import Tensor


def power(values: Tensor, exponent: float) -> Tensor:
    """values ** exponent of values in [0, 1], where rounding may have left them a little below.

    Below an exponent of 1 the slope at 0 is infinite, and infinity times the 0 that comes behind it is NaN: there the
    slope is taken as 0.
    """
    if exponent >= 1:
        return values.clamp_min(0) ** exponent
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1) ** exponent, float(exponent == 0))
