"""Logits of a volume from a network that sees tiles: Gaussian-weighted, mirrored if wanted, folds averaged."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import StopRequested, UserInputError, is_out_of_memory
from ..networks.samples_at_once import samples_at_once
from ..number_format import FULL_PRECISION, NumberFormat
from ..progress import SILENT, Reporter
from ..shortcuts import EXACT, Shortcuts
from .left_out import AIR_LOGIT, air_thresholds, coarser_step, covering_tiles, is_air
from .logit_sums import LogitSums
from .memory_plan import MemoryPlan
from .tile_network import TileNetwork, release_memory
from .tiling import gaussian_weights, padding_to, tile_of, tiles

CPU = torch.device("cpu")
Start = tuple[int, ...]
Made = TypeVar("Made")
TO_MAIN_MEMORY = "The device's memory is full: the sums of the tiles go on in main memory, which is slower."


@dataclass(frozen=True)
class WindowOptions:
    """How the window slides. `mirror_axes` are spatial axes of the data; empty means no mirroring."""

    step_size: float = 0.5
    mirror_axes: tuple[int, ...] = ()
    use_gaussian: bool = True
    """Whether the middle of a tile counts more than its border."""
    number_format: NumberFormat = FULL_PRECISION
    """What the network computes in; sums are kept in float32."""
    shortcuts: Shortcuts = EXACT
    has_background: bool = True
    """Whether the first head is the background's; regions have none."""


def predict_logits(
    networks: Sequence[nn.Module],
    data: np.ndarray,
    patch_size: Sequence[int],
    heads: int,
    device: torch.device,
    options: WindowOptions,
    reporter: Reporter = SILENT,
    plan: MemoryPlan | None = None,
) -> Tensor:
    """Logits (heads, z, y, x) float32 of a preprocessed volume `data` (c, z, y, x); see `logit_slabs`.

    Args:
        plan: where sums are kept, whole; default: on the device.
    """
    plan = plan or MemoryPlan(device)
    [(_, logits)] = logit_slabs(networks, data, patch_size, heads, device, options, plan, reporter)
    return logits


@torch.inference_mode()
def logit_slabs(
    networks: Sequence[nn.Module],
    data: np.ndarray,
    patch_size: Sequence[int],
    heads: int,
    device: torch.device,
    options: WindowOptions,
    plan: MemoryPlan,
    reporter: Reporter = SILENT,
) -> Iterator[tuple[int, Tensor]]:
    """Slabs (heads, z, y, x) float32 of the logits of a volume `data` (c, z, y, x), each with where it begins.

    They follow each other along the plan's axis; without one there is a single slab, the whole. A slab is to be done
    with before the next one is asked for: they share their memory.

    A 2d network (two-element patch size) goes slice by slice along the first axis. The mean of the folds is one of
    logits, and so is that of mirrored copies (nnU-Net's order of averaging). Sums are kept in float32.

    What does not fit the device is tried in smaller batches, and then with the sums in main memory; tiles that are
    done are not computed again.

    Raises:
        UserInputError: there would be too many tiles, or not even one fits the device.
        StopRequested: between two batches of tiles, once a stop was asked for.
    """
    yield from _Window(networks, data, patch_size, heads, device, options, plan, reporter).slabs()


class _Window:
    """One volume's way through the networks."""

    def __init__(
        self,
        networks: Sequence[nn.Module],
        data: np.ndarray,
        patch_size: Sequence[int],
        heads: int,
        device: torch.device,
        options: WindowOptions,
        plan: MemoryPlan,
        reporter: Reporter,
    ) -> None:
        self._is_2d, self._tile = len(patch_size) == 2, tile_of(patch_size)
        self._padding = padding_to(data.shape[1:], self._tile)
        # A copy: memory-mapped data is read-only, which torch does not know.
        self._volume = torch.from_numpy(np.pad(data, [(0, 0), *self._padding]))
        self._shape = tuple(self._volume.shape[1:])
        self._heads, self._device, self._plan, self._axis = heads, device, plan, plan.axis or 0
        self._options, self._shortcuts, self._reporter = options, options.shortcuts, reporter
        self._started = time.monotonic()
        at_once = samples_at_once(device.type, patch_size)
        self._network = TileNetwork(
            networks, device, options.mirror_axes, options.number_format, at_once, self._require_going_on
        )
        step_size = coarser_step(self._shape, patch_size, options.step_size, self._shortcuts.coarse_step_above)
        self._starts = tiles(self._shape, self._tile, step_size)
        self._covering: set[Start] = set()
        if self._shortcuts.time_limit is not None:
            self._covering = covering_tiles(self._shape, patch_size, step_size)
        weights = gaussian_weights(tuple(patch_size)) if options.use_gaussian else np.ones(patch_size, np.float32)
        self._weights = torch.from_numpy(weights).to(device)
        self._constant: dict[tuple[float, ...], Tensor] = {}
        self._air = air_thresholds(data) if self._shortcuts.skip_air else None
        self._sums: LogitSums | None = None
        self._done = self._in_air = self._too_late = 0

    def slabs(self) -> Iterator[tuple[int, Tensor]]:
        self._report()
        low, high = self._padding[self._axis]
        inside = [slice(below, size - above) for (below, above), size in zip(self._padding, self._shape, strict=True)]
        kept = list(self._shape)
        if self._plan.axis is not None:
            kept[self._axis] = self._tile[self._axis]
        self._sums = self._fitting(lambda place: LogitSums(self._heads, kept, self._axis, place), self._plan.place)
        taken = 0
        for stop, layer in self._layers():
            for group in _groups(layer, self._network.tiles_at_once):
                self._compute(group)
            means = self._sums.finished(stop, None if self._air is None else self._logits_of_air())
            first, last = max(low, taken), min(stop, self._shape[self._axis] - high)
            if last > first:
                inside[self._axis] = slice(first - taken, last - taken)
                yield first - low, means[(slice(None), *inside)]
            if stop < self._shape[self._axis]:
                self._sums.move_up(stop)
            taken = stop
        self._tell_what_was_left_out()

    def _layers(self) -> list[tuple[int, list[Start]]]:
        """Tiles that are computed before something is taken, and up to where the volume is finished then."""
        axis = self._plan.axis
        if axis is None:
            if self._shortcuts.time_limit is not None:
                # First what covers everything once.
                return [(self._shape[0], sorted(self._starts, key=lambda start: start not in self._covering))]
            return [(self._shape[0], self._starts)]
        in_order = sorted(self._starts, key=lambda start: start[axis])
        layers = [list(layer) for _, layer in itertools.groupby(in_order, key=lambda start: start[axis])]
        ends = [*(layer[0][axis] for layer in layers[1:]), self._shape[axis]]
        return list(zip(ends, layers, strict=True))

    def _compute(self, group: Sequence[Start]) -> None:
        """Add the logits of some tiles to the sums."""
        limit = self._shortcuts.time_limit
        is_late = limit is not None and time.monotonic() - self._started > 60 * limit
        wanted = [start for start in group if not is_late or start in self._covering]
        self._too_late += len(group) - len(wanted)
        windows = [tuple(slice(s, s + t) for s, t in zip(start, self._tile, strict=True)) for start in wanted]
        crops = [self._volume[(slice(None), *window)] for window in windows]
        if self._air is not None:
            body = [not is_air(crop.numpy(), self._air) for crop in crops]
            self._in_air += body.count(False)
            windows = list(itertools.compress(windows, body))
            crops = list(itertools.compress(crops, body))
        for window, logits in zip(windows, self._outputs(crops, not is_late), strict=True):
            self._add(window, logits)
        self._done += len(group)
        self._report()

    def _outputs(self, crops: Sequence[Tensor], mirrored: bool) -> list[Tensor]:
        """One output per tile. Tiles of one constant value (air, padding) go through the network once per value."""
        keys = [_constant_value(crop) for crop in crops]
        computed: dict[int, Tensor] = {}
        varied = [place for place, key in enumerate(keys) if key is None]
        if varied:
            computed.update(zip(varied, self._forward([crops[place] for place in varied], mirrored), strict=True))
        for place, key in enumerate(keys):
            if key is not None:
                if key not in self._constant:
                    self._constant[key] = self._forward([crops[place]], mirrored)[0]
                computed[place] = self._constant[key]
        return [computed[place] for place in range(len(crops))]

    def _forward(self, crops: Sequence[Tensor], mirrored: bool) -> Tensor:
        batch = torch.stack(list(crops))
        batch = batch.squeeze(2) if self._is_2d else batch
        return self._fitting(lambda _: self._network.mean_logits(batch, mirrored), self._device)

    def _add(self, window: tuple[slice, ...], logits: Tensor) -> None:
        def weighted(_: torch.device) -> Tensor:
            return (logits * self._weights).to(self._sums.place)

        product = self._fitting(weighted, self._device)
        weights = self._weights.to(self._sums.place)
        self._sums.add(window, *((product[:, None], weights[None]) if self._is_2d else (product, weights)))

    def _fitting(self, make: Callable[[torch.device], Made], place: torch.device) -> Made:
        """What `make` makes on the device; if there is no room, with the sums in main memory.

        Raises:
            UserInputError: even so there is none.
        """
        made = _made_if_it_fits(make, place)
        if made is None and self._sums is None and place != CPU:
            release_memory(self._device)
            return make(CPU)
        if made is None and self._sums is not None and self._sums.place != CPU:
            self._sums.move_to(CPU)
            release_memory(self._device)
            self._reporter.event("memory", message=TO_MAIN_MEMORY)
            made = _made_if_it_fits(make, place)
        if made is None:
            tile = " × ".join(map(str, self._tile))
            raise UserInputError(
                f"A tile of {tile} voxels does not fit into what is free of the device's memory; end other programs "
                "that use it, or choose another device (--device cpu)."
            )
        return made

    def _logits_of_air(self) -> Tensor:
        logits = torch.full((self._heads,), -AIR_LOGIT)
        if self._options.has_background:
            logits[0] = AIR_LOGIT
        return logits

    def _require_going_on(self) -> None:
        if self._reporter.stop_requested():
            raise StopRequested("Segmenting was stopped; nothing was written.")

    def _report(self) -> None:
        self._reporter.progress("segmenting", self._done, len(self._starts), "tile", self._started)

    def _tell_what_was_left_out(self) -> None:
        if self._shortcuts == EXACT:
            return
        counts = f"{self._in_air} tiles taken for air, {self._too_late} left out when the time was up"
        message = f"Inexact, as asked for ({self._shortcuts.in_words()}): of {len(self._starts)} tiles, {counts}."
        self._reporter.event("inexact", message=message)


def _groups(starts: Sequence[Start], size: int) -> Iterator[Sequence[Start]]:
    return (starts[i : i + size] for i in range(0, len(starts), size))


def _constant_value(crop: Tensor) -> tuple[float, ...] | None:
    """Of each channel, where none has another value."""
    flat = crop.flatten(1)
    lowest, highest = flat.amin(1), flat.amax(1)
    return tuple(lowest.tolist()) if torch.equal(lowest, highest) else None


def _made_if_it_fits(make: Callable[[torch.device], Made], place: torch.device) -> Made | None:
    try:
        return make(place)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Not within the handler: the error holds on to what was allocated.
    return None
