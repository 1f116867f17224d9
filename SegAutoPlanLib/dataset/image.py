"""An image in memory, and the errors that name the file it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserInputError


@dataclass(frozen=True)
class Image:
    """Voxels with their geometry."""

    array: np.ndarray
    """(c, z, y, x); float32 for images, int16 or int32 with c = 1 for segmentations. 2-D has z = 1."""
    spacing: tuple[float, float, float]
    """(z, y, x) in mm; a 2-D image has a z spacing far above the others, as nnU-Net has it."""
    properties: dict[str, Any]
    """What a writer needs to give the geometry back, JSON-able, under nnU-Net's keys."""


class FileError(UserInputError):
    """One thing that is wrong with one file, in parts, so that a report can put them into columns."""

    def __init__(self, file: Path | str, problem: str, remedy: str) -> None:
        super().__init__(f"{file}: {problem}; {remedy}.")
        self.file = Path(file)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return FileError, (self.file, self.problem, self.remedy)
