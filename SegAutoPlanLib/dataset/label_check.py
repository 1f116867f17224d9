"""The values of a label file beside those that dataset.json knows: one rule for checking, preprocessing, evaluating."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import FileError
from ..images.image import Image
from ..labels import LabelScheme


def require_known_labels(segmentation: Image, path: Path, scheme: LabelScheme) -> None:
    """Refuse a label file with a value that dataset.json does not know.

    Raises:
        FileError: it has one; the sentence names the values.
    """
    # The known values are consecutive from 0, so that the extremes tell without looking at each voxel twice.
    known = scheme.expected_values
    array = segmentation.array
    if int(array.min(initial=0)) in known and int(array.max(initial=0)) in known:
        return
    unknown = sorted(values_present(array) - known)
    which = f"label {unknown[0]} is" if len(unknown) == 1 else f"labels {_listed(unknown)} are"
    raise FileError(
        path,
        f"{which} not in dataset.json (labels are {_listed(sorted(known))})",
        "add it to dataset.json or correct the label file",
    )


def values_present(array: np.ndarray) -> frozenset[int]:
    """The distinct values of an integer array, without sorting it."""
    if array.dtype != np.int16:
        return frozenset(int(value) for part in array for value in np.unique(part))
    seen = np.zeros(1 << 16, bool)
    for slab in array.reshape(-1, *array.shape[-2:]):
        seen[slab.view(np.uint16)] = True
    return frozenset(int(value) for value in np.flatnonzero(seen).astype(np.uint16).view(np.int16))


def _listed(values: list[int], limit: int = 12) -> str:
    shown = ", ".join(str(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown}, …"
