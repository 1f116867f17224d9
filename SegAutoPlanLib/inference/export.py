"""From logits on the network's grid to a segmentation on the image's, whole or slab by slab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..labels import LabelScheme
from ..planning.plan import Configuration
from ..preprocessing import CaseGeometry
from ..preprocessing.grid import spacing_to_reach
from .resampled_labels import fill_labels
from .resampled_logits import Box, SlabFeed, grid_interpolation, logits_to_segmentation, resampled_slabs


@dataclass(frozen=True)
class Exported:
    """On the image's own grid and axis order."""

    labels: np.ndarray
    """(z, y, x) uint8, or uint16 from 255 labels on."""
    probabilities: np.ndarray | None
    """(heads, z, y, x) float32, if they were asked for."""


class Exporter:
    """Takes the logits of a preprocessed volume, slab after slab along one of its axes, to where the image was.

    So the logits of all classes need never be held whole::

        exporter = Exporter(case.data.shape[1:], case.geometry, configuration, label_scheme, axis=longest)
        for start, slab in slabs:          # (heads, z, y, x), `axis` cut into consecutive parts of any thickness
            exporter.add(start, slab)      # done with the slab: it may be overwritten
        exported = exporter.result()

    Of a slab its last slice is copied, nothing else is kept. The logits may be of any float type, layout and device.

    Args:
        shape: (z, y, x) of the network's grid: of the preprocessed case, without padding.
        geometry: the case's.
        configuration: whose resampler and spacing the logits have.
        label_scheme: what the heads mean.
        with_probabilities: give them too; they are float32 of all heads on the image's grid.
        axis: of (z, y, x), along which the slabs follow each other.
    """

    def __init__(
        self,
        shape: Sequence[int],
        geometry: CaseGeometry,
        configuration: Configuration,
        label_scheme: LabelScheme,
        with_probabilities: bool = False,
        axis: int = 0,
    ) -> None:
        spacing = spacing_to_reach(geometry.spacing, configuration.spacing)
        resampler = configuration.resampling.probabilities
        grid = grid_interpolation(shape, geometry.cropped_shape, spacing, geometry.spacing, resampler)
        self._label_scheme = label_scheme
        self._feed = SlabFeed(shape, grid, axis)
        self._inside = tuple(slice(lower, upper) for lower, upper in geometry.bounding_box)
        # Made in the file's order of axes and filled through a view, so that turning them back needs no copy.
        axes, order = geometry.file_axes, geometry.axis_order
        full = tuple(geometry.shape_before_cropping[axis] for axis in axes)
        self._labels = np.zeros(full, np.uint8 if len(label_scheme.foreground_labels) < 255 else np.uint16)
        self._label_view = self._labels.transpose(order)[self._inside]
        self._probabilities = None
        if with_probabilities:
            self._probabilities = np.zeros((label_scheme.head_count, *full), np.float32)
            if not label_scheme.has_regions:
                self._probabilities[0] = 1  # background outside the crop
            view = self._probabilities.transpose(0, *(axis + 1 for axis in order))
            self._probability_view = view[(slice(None), *self._inside)]

    def add(self, start: int, logits: Tensor) -> None:
        """Take the next slab (heads, z, y, x), which begins at `start` of the axis.

        Raises:
            ValueError: it does not begin where the last one ended, or is of another size than the grid.
        """
        for box in self._feed.add(start, logits):
            self._fill(box)

    def _fill(self, box: Box) -> None:
        labels = self._label_view[box.target]
        if self._probabilities is None:
            fill_labels(labels, box.logits, box.grid, self._label_scheme)
            return
        probabilities = self._probability_view[(slice(None), *box.target)]
        for slices, slab in resampled_slabs(box.logits, box.grid):
            labels[slices] = logits_to_segmentation(slab, self._label_scheme).cpu().numpy()
            probable = slab.sigmoid() if self._label_scheme.has_regions else slab.softmax(0)
            probabilities[:, slices] = probable.cpu().numpy()

    def result(self) -> Exported:
        """The segmentation, once the last slab was added.

        Raises:
            ValueError: slabs are missing.
        """
        if not self._feed.complete:
            raise ValueError("The segmentation is not complete: slabs of logits are missing.")
        return Exported(self._labels, self._probabilities)


def export(
    logits: Tensor,
    geometry: CaseGeometry,
    configuration: Configuration,
    label_scheme: LabelScheme,
    with_probabilities: bool = False,
) -> Exported:
    """Bring logits (heads, z, y, x) of a preprocessed volume back to where the image was, by its case's geometry."""
    exporter = Exporter(logits.shape[1:], geometry, configuration, label_scheme, with_probabilities)
    exporter.add(0, logits)
    return exporter.result()
