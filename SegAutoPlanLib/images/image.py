"""An image in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .source_header import SourceHeader


@dataclass(frozen=True)
class Image:
    """Voxels with their geometry."""

    array: np.ndarray
    """(c, z, y, x); float32 for images, int16 or int32 with c = 1 for segmentations. 2-D has z = 1."""
    header: SourceHeader
    """What a writer needs to give the geometry back."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(z, y, x) in mm, see `SourceHeader.spacing`."""
        return self.header.spacing
