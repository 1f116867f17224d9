"""What networks say of tiles: folds and mirrored copies averaged, in batches that fit the device."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..errors import is_out_of_memory
from ..networks.casting import as_input, computing_in
from ..number_format import NumberFormat


class TileNetwork:
    """The mean of the logits of networks and of mirrored copies, in float32.

    Args:
        mirror_axes: spatial axes of the tiles; empty means no mirroring.
        samples_at_once: tiles, each mirrored copy counted, that go through a network together. It is halved for good
            where that does not fit the device.
        check: called before each of these batches; raises where the work is to end.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        device: torch.device,
        mirror_axes: Sequence[int],
        number_format: NumberFormat,
        samples_at_once: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        axes = [axis + 1 for axis in mirror_axes]
        self.device, self.number_format, self.samples_at_once = device, number_format, samples_at_once
        self._networks, self._check = networks, check
        self._flips = [subset for n in range(len(axes) + 1) for subset in itertools.combinations(axes, n)]

    @property
    def tiles_at_once(self) -> int:
        """Tiles that are worth giving together, when each comes with its mirrored copies."""
        return max(1, self.samples_at_once // len(self._flips))

    def mean_logits(self, tiles: Tensor, mirrored: bool = True) -> Tensor:
        """Logits (b, heads, *patch) float32 on the device, of tiles (b, c, *patch) float32.

        Raises:
            RuntimeError: of torch's kind for this: not even one sample fits the device.
        """
        tiles = tiles.to(self.device)
        flips = self._flips if mirrored else self._flips[:1]
        samples = [(flip, place) for flip in flips for place in range(len(tiles))]
        total: Tensor | None = None
        for network in self._networks:
            done = 0
            while done < len(samples):
                self._check()
                batch = samples[done : done + self.samples_at_once]
                outputs = self._outputs(network, tiles, batch)
                if outputs is None:
                    self.samples_at_once = max(1, min(self.samples_at_once, len(batch)) // 2)
                    continue
                if total is None:
                    total = torch.empty((len(tiles), *outputs[0].shape), device=self.device)
                for (flip, place), output in zip(batch, outputs, strict=True):
                    is_first = network is self._networks[0] and flip == ()
                    total[place].copy_(output) if is_first else total[place].add_(output)
                done += len(batch)
        assert total is not None
        return total.div_(len(self._networks) * len(flips))

    def _outputs(
        self, network: nn.Module, tiles: Tensor, batch: Sequence[tuple[tuple[int, ...], int]]
    ) -> list[Tensor] | None:
        """Of each sample, turned back; None where the batch does not fit and a smaller one may."""
        try:
            images = torch.stack([tiles[place].flip(flip) if flip else tiles[place] for flip, place in batch])
            with computing_in(self.number_format, self.device):
                outputs = network(as_input(images, self.number_format, self.device))
            outputs = outputs.float()
            return [each.flip(flip) if flip else each for each, (flip, _) in zip(outputs, batch, strict=True)]
        except RuntimeError as error:
            if not is_out_of_memory(error) or len(batch) == 1:
                raise
        # Outside the handler: the error holds on to what was allocated.
        release_memory(self.device)
        return None


def release_memory(device: torch.device) -> None:
    """Give back what torch keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
