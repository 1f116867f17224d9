"""How a network computes in a number format: its input, its layers' type, and what a device can do."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from ..number_format import FULL_PRECISION, NumberFormat
from .instance_norm import channels_last

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def usual_format(device: torch.device) -> NumberFormat:
    """What is computed in where nothing has been measured: nnU-Net's choice."""
    return NumberFormat("float16") if device.type == "cuda" else FULL_PRECISION


def candidates(device: torch.device) -> tuple[NumberFormat, ...]:
    """The formats worth measuring on a device, the usual one first."""
    if device.type == "cuda":
        bfloat16 = torch.cuda.is_bf16_supported()
        others = [NumberFormat("float16", True)]
        others += [NumberFormat("bfloat16"), NumberFormat("bfloat16", True)] if bfloat16 else []
        return (usual_format(device), *others)
    if device.type == "cpu":
        # Elsewhere torch has no kernels for convolutions in bfloat16 but a loop over voxels.
        bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        others = [NumberFormat("bfloat16", True)] if bfloat16 else []
        return (usual_format(device), *others, NumberFormat("float32", True))
    return (usual_format(device),)


def can_compute(number_format: NumberFormat, device: torch.device) -> bool:
    """Whether the device has kernels for the format: a training may go on on another machine than it began on."""
    return number_format.precision == "float32" or number_format in candidates(device)


def computing_in(number_format: NumberFormat, device: torch.device) -> contextlib.AbstractContextManager:
    """A block in which the layers compute in the format, whatever the type of their weights."""
    if number_format.precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, DTYPES[number_format.precision])


def as_input(images: Tensor, number_format: NumberFormat, device: torch.device) -> Tensor:
    """Images (b, c, *space) float32 on the device, in the layout and, on a CPU, the type of the format.

    On a CPU the first layer's copy of them is saved thus; the layout of the input is that of all that follows.
    """
    images = images.to(device, non_blocking=True)
    if not number_format.channels_last:
        return images
    return channels_last(images, DTYPES[number_format.precision] if device.type == "cpu" else None)
