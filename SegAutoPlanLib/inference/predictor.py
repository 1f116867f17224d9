"""Trained models ready to segment, with nnU-Net's four ways in: files, a list of arrays, one array, an iterator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserInputError
from ..models import ModelFolder
from ..progress import SILENT, Reporter
from .ensemble import load_ensemble
from .overlap import overlapped
from .predict import Inputs, SegmentCasesOptions, cases_to_segment, segment_cases, write_result
from .predictor_input import ArrayCase, GivenCase, as_case, read_given
from .segment import Segmentation
from .stages import NetworkAnswer, PreparedCase

DEFAULT = SegmentCasesOptions()


class Predictor:
    """One model or several on a device, ready for any number of images.

    Several models are averaged as probabilities on the image's grid, as nnU-Net's `ensemble` does; the folds of each as
    logits. A cascade's second stage runs its first one itself, unless segmentations of that are given.

    Args:
        models: a model folder `…/Trainer__Plans__configuration`, or several.
        folds: which folds to average, as numbers, or `["all"]`; default: all numbered ones that have the checkpoint.
        checkpoint: `final`, `best` or `latest`.
        previous_model: the folder of a cascade's first stage, where it is not the sibling of the model's own trainer
            and plans.
        with_first_stage: False where the first stage's segmentations are given with every image.
        how: what `Segmenter` takes beside its model: `device`, `mirroring`, `step_size`, `use_gaussian` …

    Raises:
        UserInputError: a model is missing something, or the models do not belong together.
    """

    def __init__(
        self,
        models: ModelFolder | Path | str | Sequence[ModelFolder | Path | str],
        folds: Sequence[int | str] | None = None,
        checkpoint: str = "final",
        previous_model: Path | str | None = None,
        with_first_stage: bool = True,
        **how: Any,
    ) -> None:
        if isinstance(models, (ModelFolder, Path, str)):
            models = [models]
        if not models:
            raise UserInputError("--model: give a model folder, or several.")
        previous = None if previous_model is None else Path(previous_model)
        self.ensemble = load_ensemble(models, folds, checkpoint, previous, with_first_stage, **how)

    def predict_files(
        self,
        inputs: Inputs,
        output: Path | str | None = None,
        options: SegmentCasesOptions = DEFAULT,
        reporter: Reporter = SILENT,
    ) -> list[Path] | list[Segmentation]:
        """Segment a folder, a list of cases (each a list of files), or one case.

        Args:
            inputs: a folder of `CASE_0000.ending` files, the channel files of one case in channel order, or a list of
                such lists.
            output: a folder, which gets `CASE.ending` and the model's dataset.json and plans.json; None gives the
                results back instead, in the order of the cases.

        Returns:
            The segmentations' files, or the results where there is no `output`.

        Raises:
            UserInputError: no input, an unreadable file; or `output` cannot take the results.
            StopRequested: between two tiles; finished files stay.
        """
        if output is not None:
            return segment_cases(self.ensemble, inputs, Path(output), options, reporter)
        number, count = options.part
        cases = cases_to_segment(inputs, self.ensemble.model.files)[number - 1 :: count]
        given = [GivenCase.of_files(case, options.previous_stage, self.ensemble.model) for case in cases]
        return list(self._results(given, options.save_probabilities, reporter))

    def predict_arrays(
        self,
        images: Sequence[np.ndarray],
        properties: Sequence[Mapping[str, Any]],
        previous: Sequence[np.ndarray | None] | None = None,
        outputs: Sequence[Path | str | None] | None = None,
        save_probabilities: bool = False,
        reporter: Reporter = SILENT,
    ) -> list[Segmentation]:
        """Segment arrays (c, z, y, x).

        Args:
            properties: of each, with its `spacing` (z, y, x) in mm; what nnU-Net's readers say besides is kept.
            previous: labels (z, y, x) of a cascade's first stage for each, on the image's grid.
            outputs: files without ending, which get the segmentation too; the properties must be a reader's then.

        Raises:
            UserInputError: an array is not as described; the lists are not equally long.
            StopRequested: between two tiles.
        """
        count = len(images)
        previous = [None] * count if previous is None else previous
        outputs = [None] * count if outputs is None else outputs
        for name, values in (("properties", properties), ("previous", previous), ("outputs", outputs)):
            if len(values) != count:
                raise UserInputError(f"{name}: there are {len(values)} for {count} images; give one for each.")
        cases = [ArrayCase(*parts) for parts in zip(images, properties, previous, outputs, strict=True)]
        return list(self.predict_iterator(cases, save_probabilities, reporter))

    def predict_array(
        self,
        image: np.ndarray,
        properties: Mapping[str, Any],
        previous: np.ndarray | None = None,
        output: Path | str | None = None,
        save_probabilities: bool = False,
        reporter: Reporter = SILENT,
    ) -> Segmentation:
        """Segment one array (c, z, y, x); see `predict_arrays`."""
        [result] = self.predict_arrays([image], [properties], [previous], [output], save_probabilities, reporter)
        return result

    def predict_iterator(
        self, cases: Iterable[Any], save_probabilities: bool = False, reporter: Reporter = SILENT
    ) -> Iterator[Segmentation]:
        """Segment whatever an iterator gives, one after the other, and yield the results in its order.

        One case is asked for ahead, and read while the network works on the one before. A result is yielded when the
        network has answered for the next.

        Args:
            cases: each an `ArrayCase`, a dict of its fields, a dict of nnU-Net's iterators (`data`, which is
                preprocessed, `data_properties`, `ofile`), a `Case`, or the channel files of one.

        Raises:
            UserInputError: a case cannot be used; those before it were yielded.
            StopRequested: between two tiles.
        """
        model = self.ensemble.model
        given = (as_case(case, number, model) for number, case in enumerate(cases))
        return self._results(given, save_probabilities, reporter)

    def _results(
        self, cases: Iterable[GivenCase], with_probabilities: bool, reporter: Reporter
    ) -> Iterator[Segmentation]:
        model = self.ensemble.model

        def compute(prepared: list[PreparedCase], part: Reporter) -> list[NetworkAnswer]:
            return self.ensemble.logits(prepared, with_probabilities, part)

        def finish(case: GivenCase, answers: list[NetworkAnswer]) -> Segmentation:
            result = self.ensemble.segmentation(answers, with_probabilities)
            if case.output is not None:
                io = model.plan.image_io
                write_result(result, case.output.parent, case.output.name, model.file_ending, io)
            return result

        results = overlapped(
            cases,
            lambda case: read_given(case, self.ensemble),
            compute,
            finish,
            lambda case: case.name,
            reporter,
            self.ensemble.has_room,
        )
        with contextlib.closing(results):
            yield from results
