"""A transposed convolution of channels-last tensors on a CPU, with a bias gradient that is a plain sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .instance_norm import CHANNELS_LAST, is_channels_last


def upsampled(x: Tensor, layer: nn.ConvTranspose2d | nn.ConvTranspose3d) -> Tensor:
    """The layer's result for x (b, c, *space), by the shortest way for its device and layout."""
    if x.device.type == "cpu" and is_channels_last(x) and layer.bias is not None:
        return _TransposedConvolution.apply(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype), layer.stride)
    return layer(x)


class _TransposedConvolution(torch.autograd.Function):
    """oneDNN sums a bias gradient in this layout five times as long as it takes for all the rest of the layer."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: Sequence[int]) -> Tensor:
        context.stride = tuple(stride)
        context.save_for_backward(x, weight)
        return torch.ops.aten.convolution(x, weight, bias, **_arguments(context.stride))

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = context.saved_tensors
        gradient = gradient.contiguous(memory_format=CHANNELS_LAST[x.ndim - 2])
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, output_mask=[True, True, False], **_arguments(context.stride)
        )
        return of_x, of_weight, gradient.sum((0, *range(2, x.ndim))), None


def _arguments(stride: Sequence[int]) -> dict[str, Any]:
    axes = len(stride)
    return {
        "stride": stride,
        "padding": [0] * axes,
        "dilation": [1] * axes,
        "transposed": True,
        "output_padding": [0] * axes,
        "groups": 1,
    }
