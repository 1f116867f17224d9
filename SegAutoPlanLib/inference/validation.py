"""The last look at a trained fold: its validation cases segmented whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import StopRequested
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
    written: list[Path] = []
    try:
        for identifier, inner in reporter.track_parts(identifiers, "validating"):
            case = open_preprocessed(preprocessed, identifier, model.plan.transpose_forward)
            result = segmenter.segment_preprocessed(case, save_probabilities, inner)
            files = write_result(result, output, identifier, model.file_ending, model.plan.image_io)
            written.append(files[-1])
    except StopRequested:
        raise StopRequested(
            f"Validation was stopped after {len(written)} of {len(identifiers)} cases; the network is trained, and "
            "train --validate-only begins its validation again."
        ) from None
    return written
