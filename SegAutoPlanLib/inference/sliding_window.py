"""Logits of a whole volume from a network that sees tiles: Gaussian-weighted, mirrored if wanted, folds averaged."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import StopRequested
from ..progress import SILENT, Reporter
from .tiling import gaussian_weights, padding_to, tile_of, tiles

VOXELS_AT_ONCE = {"cuda": 4 * 128**3, "mps": 128**3, "cpu": 64**3}
"""How many voxels of small tiles go through the network together."""


@dataclass(frozen=True)
class WindowOptions:
    """How the window slides. `mirror_axes` are spatial axes of the data; empty means no mirroring."""

    step_size: float = 0.5
    mirror_axes: tuple[int, ...] = ()
    use_gaussian: bool = True
    """Whether the middle of a tile counts more than its border."""


@torch.inference_mode()
def predict_logits(
    networks: Sequence[nn.Module],
    data: np.ndarray,
    patch_size: Sequence[int],
    heads: int,
    device: torch.device,
    options: WindowOptions,
    reporter: Reporter = SILENT,
) -> Tensor:
    """Logits (heads, z, y, x) float32 of a preprocessed volume `data` (c, z, y, x).

    A 2d network (two-element patch size) goes slice by slice along the first axis. The mean of the folds is one of
    logits, and so is that of mirrored copies (nnU-Net's order of averaging). Sums are kept in float32.

    Raises:
        UserInputError: there would be too many tiles.
        StopRequested: between two steps, once a stop was asked for.
    """
    two_dimensional = len(patch_size) == 2
    tile = tile_of(patch_size)
    padding = padding_to(data.shape[1:], tile)
    padded = [size + sum(around) for size, around in zip(data.shape[1:], padding, strict=True)]
    starts = tiles(padded, tile, options.step_size)
    # A copy: memory-mapped data is read-only, which torch does not know.
    volume = torch.from_numpy(np.pad(data, [(0, 0), *padding]))
    weights = gaussian_weights(tuple(patch_size)) if options.use_gaussian else np.ones(patch_size, np.float32)
    weights = torch.from_numpy(weights).to(device)
    forward = _mean_forward(networks, device, options.mirror_axes, two_dimensional)

    total, weight_sum, device = _accumulators(heads, volume.shape[1:], device)
    constant_tiles: dict[tuple[float, ...], Tensor] = {}
    at_once = max(1, VOXELS_AT_ONCE[weights.device.type] // int(np.prod(tile)))
    for group in _with_progress(_groups(starts, at_once), len(starts), reporter):
        windows = [tuple(slice(s, s + t) for s, t in zip(start, tile, strict=True)) for start in group]
        crops = torch.stack([volume[(slice(None), *window)] for window in windows])
        outputs = _cached_forward(forward, crops.squeeze(2) if two_dimensional else crops, constant_tiles)
        for window, output in zip(windows, outputs, strict=True):
            weighted = (output * weights).to(device)
            total[(slice(None), *window)] += weighted[:, None] if two_dimensional else weighted
            weight_sum[window] += weights.to(device)
    total /= weight_sum
    inside = tuple(slice(low, size - high) for (low, high), size in zip(padding, total.shape[1:], strict=True))
    return total[(slice(None), *inside)]


def _mean_forward(
    networks: Sequence[nn.Module], device: torch.device, mirror_axes: Sequence[int], two_dimensional: bool
) -> Callable[[Tensor], Tensor]:
    """A function of a batch of tiles: the mean logits over folds and mirrored copies, on the device."""
    axes = [axis + 2 for axis in mirror_axes]
    flips = [subset for n in range(len(axes) + 1) for subset in itertools.combinations(axes, n)]

    def forward(tiles_batch: Tensor) -> Tensor:
        tiles_batch = tiles_batch.to(device)
        total = None
        for network, flip in itertools.product(networks, flips):
            with torch.autocast("cuda") if device.type == "cuda" else contextlib.nullcontext():
                output = network(tiles_batch.flip(flip))
            output = output.float().flip(flip)
            total = output if total is None else total.add_(output)
        return total.div_(len(networks) * len(flips))

    return forward


def _cached_forward(
    forward: Callable[[Tensor], Tensor], crops: Tensor, known: dict[tuple[float, ...], Tensor]
) -> list[Tensor]:
    """One output per tile. Tiles of one constant value (air, padding) go through the network once per value."""
    flat = crops.flatten(2)
    lowest, highest = flat.amin(2), flat.amax(2)
    keys = [tuple(low.tolist()) if torch.equal(low, high) else None for low, high in zip(lowest, highest, strict=True)]
    varied = [i for i, key in enumerate(keys) if key is None]
    outputs: dict[int, Tensor] = {}
    if varied:
        outputs.update(zip(varied, forward(crops[varied]), strict=True))
    for i, key in enumerate(keys):
        if key is not None:
            if key not in known:
                known[key] = forward(crops[i : i + 1])[0]
            outputs[i] = known[key]
    return [outputs[i] for i in range(len(keys))]


def _accumulators(heads: int, shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor, torch.device]:
    """Sum of logits and of weights, on the GPU if they fit there, else in main memory."""
    if device.type == "cuda":
        with contextlib.suppress(torch.cuda.OutOfMemoryError):
            return torch.zeros((heads, *shape), device=device), torch.zeros(tuple(shape), device=device), device
    cpu = torch.device("cpu")
    return torch.zeros((heads, *shape)), torch.zeros(tuple(shape)), cpu


def _groups(starts: Sequence[tuple[int, ...]], size: int) -> Iterable[Sequence[tuple[int, ...]]]:
    return (starts[i : i + size] for i in range(0, len(starts), size))


def _with_progress(
    groups: Iterable[Sequence[tuple[int, ...]]], total: int, reporter: Reporter
) -> Iterable[Sequence[tuple[int, ...]]]:
    started, done = time.monotonic(), 0
    reporter.progress("segmenting", 0, total, "tile", started)
    for group in groups:
        if reporter.stop_requested():
            raise StopRequested("Segmenting was stopped; nothing was written.")
        yield group
        done += len(group)
        reporter.progress("segmenting", done, total, "tile", started)
