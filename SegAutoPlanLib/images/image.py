"""An image in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Image:
    """Voxels with their geometry."""

    array: np.ndarray
    """(c, z, y, x); float32 for images, int16 or int32 with c = 1 for segmentations. 2-D has z = 1."""
    spacing: tuple[float, float, float]
    """(z, y, x) in mm; a 2-D image has a z spacing far above the others, as nnU-Net has it."""
    properties: dict[str, Any]
    """What a writer needs to give the geometry back, JSON-able, under nnU-Net's keys."""
