"""`predict`: images through a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError
from ..inference import SegmentCasesOptions, Segmenter, load_model
from ..inference.predict import cases_to_do, segment_all
from ..inference.tiling import LOWEST_STEP_SIZE
from ..models import ModelFolder
from ..models.names import folds_to_average
from ..progress import SILENT, Reporter
from ..schema import number
from ..workspace import Workspace
from .kept_model import KeptModel, key_of
from .option_rules import require_option


@dataclass(frozen=True)
class PredictOptions:
    """Which images, which model, and how."""

    model: Path
    """The folder `…/Trainer__Plans__configuration`."""
    input: Sequence[Path]
    """One folder of `CASE_0000.ending` files, or the channel files of one case in channel order."""
    output: Path
    folds: Sequence[int | str] | None = None
    """Which folds to average; None: all numbered ones that have the checkpoint."""
    checkpoint: str = "final"
    step_size: float = 0.5
    """Distance of neighbouring tiles as a fraction of their size."""
    mirroring: bool | None = None
    """Average over mirrored copies; None: where there is a GPU."""
    device: str = "auto"
    save_probabilities: bool = False
    previous_stage: Path | None = None
    """Folder of a cascade's first-stage segmentations."""
    skip_existing: bool = False
    """Keep results that are there and complete."""
    overwrite: bool = False
    """Work in a folder of somebody else's files too, and replace them where names are the same."""
    part: tuple[int, int] = (1, 1)
    """(K, N): do the K-th of N parts, every N-th case."""

    def __post_init__(self) -> None:
        require_option("--step-size", self.step_size, number(LOWEST_STEP_SIZE, 1))
        if self.folds is not None:
            object.__setattr__(self, "folds", folds_to_average(self.folds))


@dataclass(frozen=True)
class Predicted:
    """The segmentations that were written."""

    files: tuple[Path, ...]


def predict(
    _: Workspace, options: PredictOptions, reporter: Reporter = SILENT, kept: KeptModel | None = None
) -> Predicted:
    """Segment images and write the segmentations on their grids.

    Args:
        kept: what an earlier call may have loaded, and what stays loaded for the next one.

    Raises:
        UserInputError: the model, an image or an option cannot be worked with; nothing is left behind then.
        StopRequested: between two tiles; finished cases stay.
    """
    if not options.input:
        raise UserInputError("--input: give a folder of images, or the channel files of one case.")
    inputs = options.input[0] if len(options.input) == 1 else options.input
    choices = SegmentCasesOptions(
        options.save_probabilities, options.previous_stage, options.skip_existing, options.overwrite, options.part
    )
    model = ModelFolder.read(options.model)
    # Before the weights: what is wrong with the folders is said at once.
    with cases_to_do(model, inputs, options.output, choices) as todo:
        kept = kept or KeptModel()
        segmenter = kept.get(key_of(model, options), lambda: _segmenter(model, options))
        return Predicted(tuple(segment_all(segmenter, todo, reporter)))


def _segmenter(model: ModelFolder, options: PredictOptions) -> Segmenter:
    loaded = load_model(model, options.folds, options.checkpoint)
    return Segmenter(loaded, options.device, options.mirroring, options.step_size)
