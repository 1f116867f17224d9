"""Weighted sums of logits over the tiles of a volume, of all of it or of the slab that tiles still fall into."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Window = tuple[slice, ...]


class LogitSums:
    """Sums in float32.

    Args:
        shape: (z, y, x) of the part of the volume that is kept.
        axis: along which finished parts are taken and the rest moves up.
        place: where they are kept.
    """

    def __init__(self, heads: int, shape: Sequence[int], axis: int, place: torch.device) -> None:
        self._logits = torch.zeros((heads, *shape), device=place)
        self._weights = torch.zeros(tuple(shape), device=place)
        self._axis, self._first = axis, 0

    @property
    def place(self) -> torch.device:
        return self._weights.device

    def move_to(self, place: torch.device) -> None:
        """Go on in other memory."""
        self._logits, self._weights = self._logits.to(place), self._weights.to(place)

    def add(self, window: Window, weighted: Tensor, weights: Tensor) -> None:
        """Add the weighted logits (heads, *tile) of a tile, and its weights (*tile); both lie where the sums do."""
        here = self._shifted(window)
        self._logits[(slice(None), *here)] += weighted
        self._weights[here] += weights

    def finished(self, stop: int, unseen: Tensor | None = None) -> Tensor:
        """The means (heads, …) from where the last ones ended to `stop` of the axis; a view, good until `move_up`.

        Args:
            unseen: logits (heads,) where no tile was; None where there is no such voxel.
        """
        extent = stop - self._first
        logits = self._logits.narrow(1 + self._axis, 0, extent)
        weights = self._weights.narrow(self._axis, 0, extent)
        logits /= weights
        if unseen is not None:
            empty = weights == 0
            logits[:, empty] = unseen.to(self.place)[:, None]
        return logits

    def move_up(self, stop: int) -> None:
        """Forget what lies before `stop`, and begin there."""
        axis, extent = self._axis, stop - self._first
        for sums, along in ((self._logits, 1 + axis), (self._weights, axis)):
            kept = sums.shape[along] - extent
            if kept:
                sums.narrow(along, 0, kept).copy_(sums.narrow(along, extent, kept).clone())
            sums.narrow(along, kept, extent).zero_()
        self._first = stop

    def _shifted(self, window: Window) -> Window:
        along = window[self._axis]
        moved = slice(along.start - self._first, along.stop - self._first)
        return (*window[: self._axis], moved, *window[self._axis + 1 :])
