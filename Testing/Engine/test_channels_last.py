"""Channels-last on a CPU, in float32 and bfloat16, computes what the usual layout does."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from SegAutoPlanLib.networks import build_network
from SegAutoPlanLib.networks.casting import as_input, computing_in
from SegAutoPlanLib.networks.instance_norm import channels_last, instance_norm, is_channels_last
from SegAutoPlanLib.networks.transposed_convolution import upsampled
from SegAutoPlanLib.number_format import FULL_PRECISION, NumberFormat

from .test_networks import architecture

CPU = torch.device("cpu")
CHANNELS_LAST = NumberFormat("float32", channels_last=True)
BFLOAT16 = NumberFormat("bfloat16", channels_last=True)
SHAPES = {2: (3, 8, 12, 10), 3: (3, 8, 6, 12, 10)}
needs_bfloat16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="NOT TESTED: bfloat16, which this processor cannot"
)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("slope", [0.01, None])
def test_normalisation_and_activation_are_torchs_own_with_their_gradients(dimensions, slope):
    torch.manual_seed(0)
    x = torch.randn(SHAPES[dimensions]) * 3 + 100
    weight, bias = torch.rand(8) + 0.5, torch.randn(8)
    gradient = torch.randn(x.shape)

    def ours(x, weight, bias):
        return instance_norm(channels_last(x), weight, bias, 1e-5, slope)

    def torchs(x, weight, bias):
        y = functional.instance_norm(x, weight=weight, bias=bias, eps=1e-5)
        return y if slope is None else functional.leaky_relu(y, slope)

    found = _with_gradients(ours, gradient, x, weight, bias)
    # About a mean of 100, float32's last digit is a few millionths of the deviation, in every term of the sums.
    expected = _with_gradients(torchs, *(tensor.double() for tensor in (gradient, x, weight, bias)))
    assert is_channels_last(found[0])
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-3)


@needs_bfloat16
def test_statistics_in_bfloat16_are_not_rounded():
    """A mean far from zero would swallow the spread if it were kept in bfloat16."""
    x = channels_last(torch.randn(2, 8, 16, 16, 16) + 20, torch.bfloat16)
    y = instance_norm(x, torch.ones(8), torch.zeros(8), 1e-5, None).float()
    expected = functional.instance_norm(x.float())
    assert (y - expected).abs().max() < 0.02
    assert y.mean((2, 3, 4)).abs().max() < 2e-3


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_transposed_convolution_is_torchs_own_with_its_gradients(dimensions):
    torch.manual_seed(0)
    layer = {2: torch.nn.ConvTranspose2d, 3: torch.nn.ConvTranspose3d}[dimensions](8, 4, 2, 2)
    x = torch.randn(SHAPES[dimensions])
    gradient = torch.randn(layer(x).shape)
    parameters = list(layer.parameters())
    found = []
    for function in (lambda x: upsampled(channels_last(x), layer), lambda x: layer(x)):
        leaf = x.clone().requires_grad_()
        y = function(leaf)
        found.append([y, *torch.autograd.grad(y, [leaf, *parameters], gradient)])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_network_computes_the_same_in_either_layout(kind, dimensions, channels):
    torch.manual_seed(0)
    network = build_network(architecture(kind, (4, 8, 8), dimensions), channels, 3)
    # Of a smaller batch torch has other kernels, which know no layout.
    images = torch.randn(16, channels, *(16,) * dimensions)
    usual, other = (_output_and_gradients(network, images, each) for each in (FULL_PRECISION, CHANNELS_LAST))
    assert is_channels_last(other[0])
    for mine, theirs in zip(other, usual, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


@needs_bfloat16
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_network_in_bfloat16_gives_nearly_the_same_and_float32_gradients(kind):
    torch.manual_seed(0)
    network = build_network(architecture(kind, (8, 16, 16)), 1, 3)
    images = torch.randn(2, 1, 16, 16, 16)
    usual, other = (_output_and_gradients(network, images, each) for each in (FULL_PRECISION, BFLOAT16))
    assert other[0].dtype == torch.bfloat16
    assert is_channels_last(other[0])
    assert {gradient.dtype for gradient in other[1:]} == {torch.float32}
    assert (other[0] - usual[0]).abs().mean() < 0.02 * usual[0].abs().mean()


def test_a_single_channel_is_laid_out_as_what_follows_wants_it():
    x = channels_last(torch.randn(2, 1, 4, 6, 8))
    convolution = torch.nn.Conv3d(1, 4, 3, padding=1)
    assert is_channels_last(convolution(x))


def _with_gradients(function, gradient, *inputs):
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    y = function(*leaves)
    return [y, *torch.autograd.grad(y, leaves, gradient)]


def _output_and_gradients(network, images, number_format):
    """The full-resolution logits, and the gradients of all outputs."""
    network.deep_supervision = True
    with computing_in(number_format, CPU):
        outputs = network(as_input(images, number_format, CPU))
    loss = sum(y.float().square().mean() for y in outputs)
    return [outputs[0], *torch.autograd.grad(loss, list(network.parameters()))]
