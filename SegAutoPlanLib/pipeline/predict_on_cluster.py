"""`predict` by a Dask cluster: each worker loads the networks once, and writes its cases to the shared folder.

What is sent with a case imports no torch, so that the scheduler needs none.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset import Case
from ..executors import Workers, run_cases
from ..models import ModelFolder
from ..models.first_stage import first_stage_folder
from ..progress import Reporter

if TYPE_CHECKING:
    from ..inference import Ensemble
    from ..inference.predict import CasesToDo


@dataclass(frozen=True)
class Networks:
    """What a worker loads, and by what it knows that it has loaded it already."""

    models: tuple[Path, ...]
    how: tuple[tuple[str, Any], ...]
    """Arguments of `load_ensemble`."""
    weights: tuple[tuple[str, int, int], ...]
    """File, size and time of each checkpoint: a model that was trained again is another one."""


@dataclass(frozen=True)
class PredictedCase:
    """What a worker has made."""

    names: tuple[str, ...]
    """Of the files, the segmentation last."""
    leaves_out_mirroring: bool


class LoadedNetworks:
    """The networks of this process: the last ones that were asked for, whichever thread asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: Networks | None = None
        self._ensemble: Ensemble | None = None
        self.running = threading.Lock()
        """Held by whom the networks work for: they take all cores, or the one graphics card."""

    def get(self, wanted: Networks) -> Ensemble:
        """Load them if they are not the ones that are there."""
        from ..inference import load_ensemble

        with self._lock:
            if self._ensemble is None or self._wanted != wanted:
                self._ensemble = None  # before the others come
                self._ensemble = load_ensemble(wanted.models, **dict(wanted.how))
                self._wanted = wanted
            return self._ensemble


LOADED = LoadedNetworks()


def predict_on_cluster(
    models: Sequence[ModelFolder], todo: CasesToDo, how: dict[str, Any], scheduler: str, reporter: Reporter
) -> tuple[Path, ...]:
    """Share the cases out over a cluster's workers and return the segmentations.

    Args:
        how: arguments of `load_ensemble`.

    Raises:
        UserInputError: a case cannot be segmented, or the cluster not be used.
        StopRequested: between two cases; those that are begun are finished.
    """
    from ..inference.predict import TakingResults
    from ..inference.segment import WITHOUT_MIRRORING

    options = todo.options
    task = functools.partial(
        predict_case,
        networks_of(models, how),
        todo.results.workplace.absolute(),
        options.save_probabilities,
        options.previous_stage and options.previous_stage.absolute(),
    )
    cases = [Case(case.identifier, tuple(file.absolute() for file in case.image_files)) for case in todo.cases]
    taking, written = TakingResults(todo), []
    results = run_cases(
        task,
        cases,
        stage="predict",
        workers=Workers(scheduler=scheduler, packages=("torch",)),
        reporter=reporter,
        ordered=True,
        finish_begun=True,
    )
    for done in results:
        if done.leaves_out_mirroring and not written:
            reporter.event("mirroring", message=WITHOUT_MIRRORING)
        written.append(taking.take(done.names))
    return tuple(written)


def predict_case(
    networks: Networks, folder: Path, save_probabilities: bool, previous_stage: Path | None, case: Case
) -> PredictedCase:
    """Segment one case and write its results into a folder that the workers share."""
    from ..inference.overlap import about
    from ..inference.predict import CaseWork

    with about(case.identifier):
        ensemble = LOADED.get(networks)
        work = CaseWork(ensemble, folder, save_probabilities, previous_stage)
        prepared = work.read(case)
        with LOADED.running:
            answers = work.compute(prepared)
        names = work.write(case, answers)
    return PredictedCase(tuple(names), any(one.leaves_out_mirroring for one in ensemble.segmenters))


def networks_of(models: Sequence[ModelFolder], how: dict[str, Any]) -> Networks:
    """What a worker shall load of the models, with the arguments of `load_ensemble`.

    Raises:
        UserInputError: a model, or a cascade's first stage, is not there.
    """
    if how["previous_model"] is not None:
        # What is absolute means the same to a worker in another folder.
        how = {**how, "previous_model": how["previous_model"].absolute()}
    used = [*models]
    if how["with_first_stage"]:
        for model in models:
            used += _stages_before(model, how["previous_model"])
    weights = [
        (str(file.absolute()), status.st_size, status.st_mtime_ns)
        for model in used
        for file in model.checkpoint_files(how["folds"], how["checkpoint"]).values()
        if (status := os.stat(file))
    ]
    return Networks(tuple(model.path.absolute() for model in models), tuple(how.items()), tuple(weights))


def _stages_before(model: ModelFolder, given: Path | None) -> list[ModelFolder]:
    """The first stages by the folder's name; what the checkpoints say is for the workers to see."""
    if given is not None:
        return [ModelFolder.read(given)]
    name = model.name
    configuration = model.plan.configurations.get(name.configuration) if name else None
    if configuration is None or configuration.previous_stage is None:
        return []
    first = ModelFolder.read(first_stage_folder(model, configuration.previous_stage))
    return [first, *_stages_before(first, None)]
