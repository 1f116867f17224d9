"""The number format of segmenting: the fastest whose labels are those of float32, measured on a tile and remembered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserInputError
from ..labels import LabelScheme
from ..networks.casting import candidates, usual_format
from ..networks.format_memory import machine_and, measure, remember, remembered, remembered_agreement
from ..number_format import FULL_PRECISION, NumberFormat
from ..progress import SILENT, Reporter
from .resampled_logits import logits_to_segmentation
from .tile_network import TileNetwork
from .tiling import padding_to, tile_of, tiles

LEAST_AGREEMENT = 0.999
"""The share of a tile's voxels whose labels are float32's."""
LEAST_DICE = 0.999
"""Of the foreground that a format finds with that of float32."""
WORTH_MEASURING = 12
"""Passes of the network over a tile: measuring takes as long as three to six of them."""
WORTH_SECONDS = 1.5
"""What these passes must take in float32: below, nobody notices the difference."""
LOOKED_AT = 64
"""Tiles among which the one with the most structure is taken: labels of air agree in every format."""


@dataclass(frozen=True)
class Agreement:
    """Of the labels of two formats on the same voxels."""

    voxels: float
    """The share with the same label."""
    dice: float
    """Of the foreground; 1 where neither has any."""

    @property
    def is_enough(self) -> bool:
        return self.voxels >= LEAST_AGREEMENT and self.dice >= LEAST_DICE


def agreement(labels: Tensor, others: Tensor) -> Agreement:
    """How far two segmentations of the same voxels agree."""
    one, other = labels > 0, others > 0
    sizes = int(one.sum()) + int(other.sum())
    dice = 2 * int((one & other).sum()) / sizes if sizes else 1.0
    return Agreement(int((labels == others).sum()) / labels.numel(), dice)


def choose_format(
    networks: Sequence[nn.Module],
    tile: Callable[[], Tensor],
    label_scheme: LabelScheme,
    device: torch.device,
    work: Callable[[], Sequence[Any]],
    passes: int,
    memory: Path | None,
    reporter: Reporter = SILENT,
) -> NumberFormat | None:
    """The format to segment in: remembered, or measured where that pays; None where so little is to be done that it
    does not, and the device's usual one will do.

    Args:
        tile: makes a tile (1, c, *patch) float32 of what is to be segmented, for measuring.
        work: tells everything that a pass's time and labels depend on beside the machine.
        passes: how often a network will go over a tile.
        memory: the file that measurements are kept in, if they are.
    """
    formats = (FULL_PRECISION, *(each for each in candidates(device) if each != FULL_PRECISION))
    if len(formats) == 1:
        return usual_format(device)
    if passes < WORTH_MEASURING and not _is_file(memory):
        return None
    key = machine_and(json.dumps(["segmenting", *work()], sort_keys=True), device)
    known = remembered(memory, key) if _is_file(memory) else None
    agreed = remembered_agreement(memory, key) if known in formats else None
    if agreed is not None and agreed >= LEAST_AGREEMENT:
        _tell(reporter, known, "the fastest when this was measured here", "agreed", agreed)
        return known
    if passes < WORTH_MEASURING:
        return None
    return _measured(networks[0], tile(), formats, label_scheme, device, key, passes, memory, reporter)


def _measured(
    network: nn.Module,
    tile: Tensor,
    formats: Sequence[NumberFormat],
    label_scheme: LabelScheme,
    device: torch.device,
    key: str,
    passes: int,
    memory: Path | None,
    reporter: Reporter,
) -> NumberFormat:
    labels: dict[NumberFormat, Tensor] = {}
    agreements = {FULL_PRECISION: Agreement(1.0, 1.0)}

    def prepare(number_format: NumberFormat) -> Callable[[], None]:
        passing = TileNetwork([network], device, (), number_format, 1)

        def run() -> None:
            # Labels on the host: whatever the device still had to do is done then.
            with torch.inference_mode():
                labels[number_format] = logits_to_segmentation(passing.mean_logits(tile)[0], label_scheme).cpu()

        return run

    def is_admissible(number_format: NumberFormat) -> bool:
        agreements[number_format] = agreement(labels[FULL_PRECISION], labels[number_format])
        return agreements[number_format].is_enough

    def is_worth(usual_s: float) -> bool:
        return passes * usual_s >= WORTH_SECONDS

    found, seconds = measure(formats, prepare, is_admissible=is_admissible, is_worth=is_worth)
    if len(agreements) == 1:
        return usual_format(device)
    if memory is not None:
        try:
            memory.parent.mkdir(parents=True, exist_ok=True)
            remember(memory, key, found, seconds, agreements[found].voxels)
        except (OSError, UserInputError):
            # It is measured again next time: no reason to refuse a segmentation.
            pass
    times = ", ".join(f"{tried} {its / seconds[FULL_PRECISION]:.2f}" for tried, its in seconds.items())
    refused = ", ".join(
        f"{tried} on {100 * its.voxels:.2f} %" for tried, its in agreements.items() if not its.is_enough
    )
    how = f"as measured now (time of a tile, relative: {times})"
    how += f"; too few labels agree in {refused}" if refused else ""
    _tell(reporter, found, how, "agree", agreements[found].voxels)
    return found


def _tell(reporter: Reporter, number_format: NumberFormat, how: str, verb: str, agreed: float | None) -> None:
    message = f"Segmenting computes in {number_format.in_words()}, {how}"
    if number_format != FULL_PRECISION and agreed is not None:
        message += f": labels {verb} with 32-bit ones on {100 * agreed:.2f} % of the voxels of a tile"
    reporter.event("number_format", message=f"{message}.")


def tile_with_most_structure(data: np.ndarray, patch_size: Sequence[int], step_size: float) -> Tensor:
    """A tile (1, c, *patch) float32 of a volume (c, z, y, x): that of those looked at whose values vary most."""
    extent = tile_of(patch_size)
    padding = padding_to(data.shape[1:], extent)
    padded = [size + sum(around) for size, around in zip(data.shape[1:], padding, strict=True)]
    starts = tiles(padded, extent, step_size)
    starts = starts[:: -(-len(starts) // LOOKED_AT)]

    def cut(start: tuple[int, ...]) -> np.ndarray:
        # Where there is padding there is one tile along the axis.
        window = [slice(s, s + t) for s, t in zip(start, extent, strict=True)]
        return data[(slice(None), *window)]

    best = max(starts, key=lambda start: float(np.std(cut(start))))
    tile = torch.from_numpy(np.pad(cut(best), [(0, 0), *padding]).astype(np.float32))
    return (tile.squeeze(1) if len(patch_size) == 2 else tile)[None]


def digest_of(weights: Sequence[Mapping[str, Any]]) -> str:
    """What tells the weights of a model from those of another."""
    digest = hashlib.sha256()
    for fold in weights:
        for name, tensor in fold.items():
            digest.update(name.encode())
            digest.update(memoryview(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()))
    return digest.hexdigest()[:16]


def _is_file(memory: Path | None) -> bool:
    return memory is not None and memory.is_file()
