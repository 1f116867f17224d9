"""The last look at a trained fold: its validation cases segmented whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import StopRequested
from ..preprocessing import open_preprocessed
from ..progress import SILENT, Reporter
from .predict import write_result
from .segment import Segmenter

GOLDEN = (5**0.5 - 1) / 2
"""Its multiples, modulo 1, fill an interval evenly from the start."""


def segment_preprocessed_folder(
    segmenter: Segmenter,
    preprocessed: Path,
    identifiers: Sequence[str],
    output: Path,
    save_probabilities: bool = False,
    reporter: Reporter = SILENT,
    until: float | None = None,
) -> list[Path]:
    """Segment preprocessed cases and write them, on their images' own grids, to `output`.

    Args:
        until: no case is begun that will hardly be finished by then (monotonic clock), but for the first. What is in
            the folder of those that are left out is removed.

    Raises:
        StopRequested: between two tiles; finished cases stay.
    """
    output.mkdir(parents=True, exist_ok=True)
    model = segmenter.model
    done: dict[str, Path] = {}
    started = time.monotonic()
    try:
        for identifier, inner in reporter.track_parts(_in_order(identifiers, until), "validating"):
            now = time.monotonic()
            if until is not None and done and now + (now - started) / len(done) > until:
                break
            case = open_preprocessed(preprocessed, identifier, model.plan.transpose_forward)
            result = segmenter.segment_preprocessed(case, save_probabilities, inner)
            files = write_result(result, output, identifier, model.file_ending, model.plan.image_io)
            done[identifier] = files[-1]
    except StopRequested:
        raise StopRequested(
            f"Validation was stopped after {len(done)} of {len(identifiers)} cases; the network is trained, and "
            "train --validate-only begins its validation again."
        ) from None
    for identifier in set(identifiers) - done.keys():
        # Of a former training; the mean is to be that of this network.
        for ending in (model.file_ending, ".npz", ".pkl"):
            (output / f"{identifier}{ending}").unlink(missing_ok=True)
    return list(done.values())


def _in_order(identifiers: Sequence[str], until: float | None) -> list[str]:
    """As they are; where the time may not do for all, so that the first few are from everywhere among them."""
    if until is None:
        return list(identifiers)
    places = sorted(range(len(identifiers)), key=lambda place: place * GOLDEN % 1)
    return [identifiers[place] for place in places]
