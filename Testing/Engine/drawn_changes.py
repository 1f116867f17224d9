"""Changes as training draws them, for the tests of augmentation."""

from __future__ import annotations

import numpy as np

from SegAutoPlanLib.training.augmentation.changes import Changes
from SegAutoPlanLib.training.augmentation.drawing import Subject, draw_changes
from SegAutoPlanLib.training.augmentation.geometry import augmentation_geometry
from SegAutoPlanLib.training.augmentation_presets import AUGMENTATIONS
from SegAutoPlanLib.training.mirroring import MIRRORINGS

SAMPLES = 10_000
CUBE = (16, 16, 16)


def drawn(
    name: str, patch: tuple[int, ...] = CUBE, channels: int = 2, samples: int = SAMPLES, mirrored: str = "all"
) -> list[Changes]:
    preset = AUGMENTATIONS[name]
    subject = Subject(channels, augmentation_geometry(patch, preset.space), MIRRORINGS[mirrored](len(patch)))
    return [
        draw_changes(preset.space, preset.steps, subject, np.random.default_rng((17, number)))
        for number in range(samples)
    ]
