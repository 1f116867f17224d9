"""Instance normalisation and leaky ReLU of channels-last tensors on a CPU, as one step for autograd.

torch's own instance normalisation copies such a tensor into another layout and back, and keeps what lies between
normalisation and activation. Batch normalisation has kernels for channels-last, in float32 and in bfloat16 with
float32 statistics; that of one sample is its instance normalisation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
"""torch's name of the layout, by the number of spatial axes."""


def channels_last(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of x (b, c, *space) whose channels lie side by side in memory, where there is one channel, too.

    With one channel both layouts are the same, and torch goes by the strides: `contiguous` would leave them.
    """
    layout = CHANNELS_LAST[x.ndim - 2]
    return torch.empty(x.shape, dtype=dtype or x.dtype, device=x.device, memory_format=layout).copy_(x)


def is_channels_last(x: Tensor) -> bool:
    """Whether the channels lie side by side, and nothing else may be said of the layout."""
    layout = CHANNELS_LAST.get(x.ndim - 2)
    return layout is not None and not x.is_contiguous() and x.is_contiguous(memory_format=layout)


def instance_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, negative_slope: float | None) -> Tensor:
    """x (b, c, *space), channels-last on a CPU, normalised per sample and channel, then through the leaky ReLU.

    Args:
        weight, bias: (c,) float32.
        negative_slope: of the leaky ReLU, above 0; None leaves it out.

    Returns:
        x's shape, type and layout.
    """
    return _InstanceNorm.apply(x, weight, bias, eps, negative_slope)


class _InstanceNorm(torch.autograd.Function):
    """Statistics sample by sample, all else of the whole batch: wherever torch is called, its threads wait for all."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, negative_slope: float | None
    ) -> Tensor:
        y = torch.empty_like(x)
        mean, rstd = (torch.empty(len(x), len(weight), dtype=weight.dtype) for _ in range(2))
        for sample, result, its_mean, its_rstd in zip(_each(x), _each(y), mean, rstd, strict=True):
            torch.native_batch_norm(sample, weight, bias, None, None, True, 0.0, eps, out=(result, its_mean, its_rstd))
        if negative_slope is not None:
            torch.nn.functional.leaky_relu_(y, negative_slope)
        context.eps, context.negative_slope = eps, negative_slope
        # A leaky ReLU keeps the sign: its gradient can be told from its result, which the next layer keeps anyway.
        context.save_for_backward(x, weight, mean, rstd, None if negative_slope is None else y)
        return y

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rstd, y = context.saved_tensors
        gradient = gradient.contiguous(memory_format=CHANNELS_LAST[x.ndim - 2])
        if y is not None:
            gradient = torch.ops.aten.leaky_relu_backward(gradient, y, context.negative_slope, True)
        parts = [
            torch.ops.aten.native_batch_norm_backward(
                its_gradient, sample, weight, None, None, its_mean, its_rstd, True, context.eps, [True, True, True]
            )
            for its_gradient, sample, its_mean, its_rstd in zip(_each(gradient), _each(x), mean, rstd, strict=True)
        ]
        of_x, of_weight, of_bias = zip(*parts, strict=True)
        return torch.cat(of_x), torch.stack(of_weight).sum(0), torch.stack(of_bias).sum(0), None, None


def _each(batch: Tensor) -> tuple[Tensor, ...]:
    return batch.split(1)
