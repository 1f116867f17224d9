"""The last look at a trained fold: its validation cases segmented whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import StopRequested
from ..preprocessing import PreprocessedCase, open_preprocessed
from ..preprocessing.previous_stage import open_previous_labels
from ..progress import SILENT, Reporter
from .next_stage import NextStage
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
    previous_stage: Path | None = None,
    next_stages: Sequence[NextStage] = (),
    until: float | None = None,
) -> list[Path]:
    """Segment preprocessed cases and write them, on their images' own grids, to `output`.

    Args:
        previous_stage: folder of the previous stage's labels, for a cascade's second one.
        next_stages: get the labels of each case on their own grids.
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
            case = case_to_segment(segmenter, preprocessed, identifier, previous_stage)
            segmenter.require_fits(case, save_probabilities)
            logits = segmenter.logits(case, inner)
            for stage in next_stages:
                if identifier in stage.origins:
                    stage.save(identifier, logits, case.geometry, model.configuration, model.label_scheme)
            result = segmenter.exported(logits, case, save_probabilities)
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


def predict_for_next_stage(
    segmenter: Segmenter,
    preprocessed: Path,
    identifiers: Sequence[str],
    stage: NextStage,
    reporter: Reporter = SILENT,
    previous_stage: Path | None = None,
) -> None:
    """Make the labels that a cascade's next stage needs, and nothing else.

    Args:
        previous_stage: folder of the labels that this stage itself needs, if it does.

    Raises:
        StopRequested: between two tiles; finished cases stay.
    """
    model = segmenter.model
    for identifier, inner in reporter.track_parts(identifiers, "predicting for the next stage"):
        case = case_to_segment(segmenter, preprocessed, identifier, previous_stage)
        segmenter.require_fits(case)
        logits = segmenter.logits(case, inner)
        stage.save(identifier, logits, case.geometry, model.configuration, model.label_scheme)


def case_to_segment(
    segmenter: Segmenter, preprocessed: Path, identifier: str, previous_stage: Path | None = None
) -> PreprocessedCase:
    """A preprocessed case as the network takes it: what was drawn gives way to what the previous stage found.

    Raises:
        UserInputError: the case, or the previous stage's labels of it, cannot be read.
    """
    case = open_preprocessed(preprocessed, identifier, segmenter.model.plan.transpose_forward)
    if previous_stage is None:
        return replace(case, segmentation=None)
    return replace(case, segmentation=open_previous_labels(previous_stage, identifier, case.data.shape[1:]))


def _in_order(identifiers: Sequence[str], until: float | None) -> list[str]:
    """As they are; where the time may not do for all, so that the first few are from everywhere among them."""
    if until is None:
        return list(identifiers)
    places = sorted(range(len(identifiers)), key=lambda place: place * GOLDEN % 1)
    return [identifiers[place] for place in places]
