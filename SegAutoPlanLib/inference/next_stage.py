"""What a cascade's first stage hands to its second one: its labels, on the second one's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ..labels import LabelScheme
from ..planning.plan import Configuration
from ..preprocessing import CaseGeometry
from ..preprocessing.blosc2_file import blosc2_is_installed
from ..preprocessing.blosc2_labels import blosc2_path, save_blosc2_labels
from ..preprocessing.grid import spacing_to_reach, target_shape
from ..preprocessing.previous_stage import save_previous_labels
from .resampled_labels import fill_labels
from .resampled_logits import grid_interpolation


@dataclass(frozen=True)
class NextStage:
    """For whom labels are made beside the segmentations, and where they go."""

    configuration: Configuration
    folder: Path
    origins: Mapping[str, str]
    """Of each case that is to be stored: what its labels are made from, in one short text."""

    def save(
        self,
        identifier: str,
        logits: Tensor,
        geometry: CaseGeometry,
        configuration: Configuration,
        label_scheme: LabelScheme,
    ) -> Path:
        """Store the labels of a case whose logits (heads, z, y, x) the stage of `configuration` has computed.

        Raises:
            UserInputError: the disk is full.
        """
        labels = labels_for_next_stage(logits, geometry, configuration, self.configuration, label_scheme)
        if blosc2_is_installed():
            # For nnU-Net's second stage.
            save_blosc2_labels(blosc2_path(self.folder, identifier), labels, self.origins[identifier])
        return save_previous_labels(self.folder, identifier, labels, self.origins[identifier])


def labels_for_next_stage(
    logits: Tensor,
    geometry: CaseGeometry,
    configuration: Configuration,
    following: Configuration,
    label_scheme: LabelScheme,
) -> np.ndarray:
    """Labels (z, y, x) uint8 (uint16 from 255 labels on) on the grid of the next stage's preprocessed case.

    Logits are resampled by the plan's function for probabilities, as nnU-Net does: whether one axis is treated apart
    follows from the spacing of this stage alone.
    """
    spacing = spacing_to_reach(geometry.spacing, configuration.spacing)
    shape = target_shape(
        geometry.cropped_shape, geometry.spacing, spacing_to_reach(geometry.spacing, following.spacing)
    )
    resampler = configuration.resampling.probabilities
    grid = grid_interpolation(logits.shape[1:], shape, spacing, spacing, resampler)
    labels = np.zeros(shape, dtype=np.uint8 if len(label_scheme.foreground_labels) < 255 else np.uint16)
    fill_labels(labels, logits, grid, label_scheme)
    return labels
