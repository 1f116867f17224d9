"""The pieces of both U-Nets: a convolution block, a stack of them, a residual block.

Attribute names are those of nnU-Net's checkpoints (`convs`, `conv`, `norm`, `conv1`, `skip` …), so that weights
are exchanged without renaming.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED_CONV = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORMALIZATIONS = {
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
}
"""Of each sample's features, or of the whole batch's: in training; a trained network has running statistics."""
AVERAGE_POOL = {2: nn.AvgPool2d, 3: nn.AvgPool3d}

NEGATIVE_SLOPE = 0.01


class ConvBlock(nn.Module):
    """Convolution → normalisation → leaky ReLU (the last is optional)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        normalization: str,
        *,
        bias: bool = True,
        activation: bool = True,
    ) -> None:
        super().__init__()
        dimensions = len(kernel_size)
        self.conv = CONV[dimensions](
            in_channels,
            out_channels,
            tuple(kernel_size),
            tuple(stride),
            padding=tuple((k - 1) // 2 for k in kernel_size),
            bias=bias,
        )
        self.norm = NORMALIZATIONS[normalization][dimensions](out_channels, eps=1e-5, affine=True)
        self.activation = nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)))


def stack(
    block: Callable[..., nn.Module],
    count: int,
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int],
    first_stride: Sequence[int],
    normalization: str,
) -> nn.Sequential:
    """`count` blocks in a row; the first one changes channels and resolution."""
    unit = [1] * len(kernel_size)
    return nn.Sequential(
        block(in_channels, out_channels, kernel_size, first_stride, normalization),
        *(block(out_channels, out_channels, kernel_size, unit, normalization) for _ in range(count - 1)),
    )


class ConvStack(nn.Module):
    """A row of convolution blocks; see `stack` for the arguments."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.convs = stack(ConvBlock, *arguments)

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut: average pooling for the stride, a 1×1 projection for the channels."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        normalization: str,
    ) -> None:
        super().__init__()
        dimensions = len(kernel_size)
        unit = [1] * dimensions
        self.conv1 = ConvBlock(in_channels, out_channels, kernel_size, stride, normalization)
        self.conv2 = ConvBlock(out_channels, out_channels, kernel_size, unit, normalization, activation=False)
        shortcut: list[nn.Module] = []
        if any(s != 1 for s in stride):
            shortcut.append(AVERAGE_POOL[dimensions](tuple(stride), tuple(stride)))
        if in_channels != out_channels:
            projection = ConvBlock(in_channels, out_channels, unit, unit, normalization, bias=False, activation=False)
            shortcut.append(projection)
        self.skip = nn.Sequential(*shortcut)
        self.activation = nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv2(self.conv1(x)) + self.skip(x))


class ResidualStage(nn.Module):
    """A row of residual blocks; see `stack` for the arguments."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.blocks = stack(ResidualBlock, *arguments)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)
