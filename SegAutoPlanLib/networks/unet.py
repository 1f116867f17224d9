"""The U-Net of a plan: a plain or residual encoder, one decoder, a segmentation head at every decoder stage."""

from __future__ import annotations

from torch import Tensor, cat, nn

from ..planning.plan import Architecture
from .blocks import CONV, NEGATIVE_SLOPE, TRANSPOSED_CONV, ConvStack, ResidualBlock, ResidualStage


class PlainEncoder(nn.Module):
    """Stages of plain convolutions; returns the features of every stage, full resolution first."""

    def __init__(self, architecture: Architecture, in_channels: int) -> None:
        super().__init__()
        stages = []
        for features, kernel, stride, count in zip(
            architecture.features_per_stage,
            architecture.kernel_sizes,
            architecture.strides,
            architecture.blocks_per_stage,
            strict=True,
        ):
            # One more level of nesting than needed: nnU-Net's parameter names have it.
            stages.append(
                nn.Sequential(ConvStack(count, in_channels, features, kernel, stride, architecture.normalization))
            )
            in_channels = features
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        return skips


class ResidualEncoder(nn.Module):
    """A stem convolution, then stages of residual blocks; returns the features of every stage."""

    def __init__(self, architecture: Architecture, in_channels: int) -> None:
        super().__init__()
        features = architecture.features_per_stage
        unit = [1] * architecture.dimensions
        self.stem = ConvStack(
            1, in_channels, features[0], architecture.kernel_sizes[0], unit, architecture.normalization
        )
        inputs = (features[0], *features[:-1])
        self.stages = nn.ModuleList(
            ResidualStage(count, before, after, kernel, stride, architecture.normalization)
            for before, after, kernel, stride, count in zip(
                inputs,
                features,
                architecture.kernel_sizes,
                architecture.strides,
                architecture.blocks_per_stage,
                strict=True,
            )
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        return skips


class Decoder(nn.Module):
    """Upsample, join with the skip, convolve; stage 0 is the lowest resolution."""

    def __init__(self, architecture: Architecture, heads: int) -> None:
        super().__init__()
        conv, transposed = CONV[architecture.dimensions], TRANSPOSED_CONV[architecture.dimensions]
        features, strides = architecture.features_per_stage, architecture.strides
        stages, upsamplings, outputs = [], [], []
        for depth, count in zip(range(len(features) - 1, 0, -1), architecture.convs_per_decoder_stage, strict=True):
            below, here = features[depth], features[depth - 1]
            upsamplings.append(transposed(below, here, strides[depth], strides[depth]))
            kernel, unit = architecture.kernel_sizes[depth - 1], [1] * architecture.dimensions
            stages.append(ConvStack(count, 2 * here, here, kernel, unit, architecture.normalization))
            outputs.append(conv(here, heads, 1))
        # This order is nnU-Net's parameter order, by which optimiser states are matched.
        self.stages = nn.ModuleList(stages)
        self.transpconvs = nn.ModuleList(upsamplings)
        self.seg_layers = nn.ModuleList(outputs)

    def forward(self, skips: list[Tensor], every_resolution: bool) -> Tensor | list[Tensor]:
        x = skips[-1]
        outputs = []
        last = len(self.stages) - 1
        for depth, (upsample, stage, head) in enumerate(
            zip(self.transpconvs, self.stages, self.seg_layers, strict=True)
        ):
            x = stage(cat((upsample(x), skips[-2 - depth]), dim=1))
            if every_resolution or depth == last:
                outputs.append(head(x))
        return outputs[::-1] if every_resolution else outputs[-1]


class UNet(nn.Module):
    """Input (b, c, [z,] y, x); output logits of the same size.

    With `deep_supervision` the output is a list, full resolution first.
    """

    def __init__(self, architecture: Architecture, in_channels: int, heads: int) -> None:
        super().__init__()
        encoder = {"plain": PlainEncoder, "residual": ResidualEncoder}[architecture.kind]
        self.encoder = encoder(architecture, in_channels)
        self.decoder = Decoder(architecture, heads)
        self.deep_supervision = False
        self.apply(_initialise)
        self.apply(_start_residual_blocks_as_identity)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        return self.decoder(self.encoder(x), self.deep_supervision)


def build_network(architecture: Architecture, in_channels: int, heads: int) -> UNet:
    """The network that a configuration describes, freshly initialised."""
    return UNet(architecture, in_channels, heads)


def _initialise(module: nn.Module) -> None:
    # A network that is made for its shapes alone has no numbers, and torch would load its compiler to fill in none.
    if isinstance(module, (*CONV.values(), *TRANSPOSED_CONV.values())) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _start_residual_blocks_as_identity(module: nn.Module) -> None:
    if isinstance(module, ResidualBlock):
        nn.init.zeros_(module.conv2.norm.weight)
        nn.init.zeros_(module.conv2.norm.bias)
