"""The last look at a trained fold: its validation cases segmented whole and compared with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..preprocessing import open_preprocessed
from ..progress import SILENT, Reporter
from .predict import write_result
from .segment import Segmenter


def segment_preprocessed_folder(
    segmenter: Segmenter,
    preprocessed: Path,
    identifiers: Sequence[str],
    output: Path,
    save_probabilities: bool = False,
    reporter: Reporter = SILENT,
) -> list[Path]:
    """Segment preprocessed cases and write them, on their images' own grids, to `output`.

    Raises:
        StopRequested: between two tiles; finished cases stay.
    """
    output.mkdir(parents=True, exist_ok=True)
    model = segmenter.model
    ending = model.file_ending
    written = []
    for identifier in reporter.track(identifiers, "validating"):
        case = open_preprocessed(preprocessed, identifier, model.plan.transpose_forward)
        result = segmenter.segment_preprocessed(case, save_probabilities)
        written.append(write_result(result, output, identifier, ending, model.plan.image_io))
    return written
