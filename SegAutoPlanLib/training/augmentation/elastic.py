"""Smooth random displacements, as batchgenerators makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...errors import UserInputError
from .changes import ElasticChange


def displacements(change: ElasticChange, size: Sequence[int]) -> np.ndarray:
    """(axes, *size) float64, in voxels; the longest along each axis is as long as the change says."""
    still = np.zeros((len(size), *size))
    # batchgenerators draws from numpy's one generator, which is somebody else's to seed.
    before = np.random.get_state()
    try:
        np.random.seed(change.seed % 2**32)
        return load_elastic_deform()(still, list(change.widths_voxels), list(change.strengths_voxels))
    finally:
        np.random.set_state(before)


def load_elastic_deform() -> Callable[..., np.ndarray]:
    """batchgenerators' function for it.

    Raises:
        UserInputError: it, or something that it needs, is not installed.
    """
    try:
        from batchgenerators.augmentations.utils import elastic_deform_coordinates_2
    except ModuleNotFoundError as error:
        raise UserInputError(
            f"Elastic deformation needs the Python package batchgenerators, and {error.name} is not installed; "
            "install it with: pip install batchgenerators==0.25.5"
        ) from error
    return elastic_deform_coordinates_2
