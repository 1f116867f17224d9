"""The two stages of a cascade: what the first one hands over, made where it is missing and checked before it is used.

nnU-Net's second stage reads what each fold of the first stage left when it was validated. Here a file says what it was
made from, so that a first stage that was trained again is noticed, and what is missing is made by the second stage's
own training: each case by the fold that did not train on it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset import Case, Dataset
from ..dataset.splits import SPLITS_FILE, Split
from ..errors import FileError, UserInputError
from ..files import remove_abandoned
from ..inference import Segmenter, load_model
from ..inference.next_stage import NextStage
from ..inference.results_record import digest_of
from ..inference.validation import predict_for_next_stage
from ..locks import waiting_for
from ..models import ModelName, checkpoint_path, fold_path, next_stage_path
from ..models.names import ALL_CASES
from ..number_format import AUTOMATIC
from ..planning.plan import Configuration, Plan
from ..preprocessing import open_training_case, preprocess_dataset
from ..preprocessing.blosc2_file import blosc2_is_installed
from ..preprocessing.blosc2_labels import blosc2_path, is_of_ours, read_blosc2_labels
from ..preprocessing.previous_stage import (
    open_previous_labels,
    origin_of_previous_labels,
    previous_labels_path,
    require_known_labels,
    save_previous_labels,
)
from ..preprocessing.stamp import stamp_of
from ..progress import SILENT, Reporter
from ..workspace import FORMATS_FILE, Workspace

LOCK_FILE = ".predicting.lock"
CHECKPOINT = "final"


def next_stages(
    raw: Dataset, plan: Plan, configuration: Configuration, model: Path, splits: Sequence[Split], fold: int | str
) -> list[NextStage]:
    """For whom the validation of a fold makes labels: the configurations whose previous stage it is.

    Labels of cases that are another fold's to segment are left to that: the fold that trains on every case has seen
    them all.
    """
    following = [other for other in plan.configurations.values() if other.previous_stage == configuration.name]
    segmented_by = fold_of_each_case(splits)
    cases = [case for case in raw.cases if segmented_by.get(case.identifier) == fold]
    if not following or not cases:
        return []
    digest = digest_of(_checkpoint(model, fold))
    return [
        NextStage(
            other,
            next_stage_path(model, other.name),
            {case.identifier: _origin(case, raw, plan, configuration, other, digest) for case in cases},
        )
        for other in following
    ]


def fold_of_each_case(splits: Sequence[Split]) -> dict[str, int | str]:
    """Which fold segments a case for the next stage: the first that validates it."""
    return {case: number for number, split in reversed(list(enumerate(splits))) for case in split["val"]}


def first_stage(
    raw: Dataset,
    plan: Plan,
    following: Configuration,
    model: Path,
    splits: Sequence[Split],
    fold: int | str,
    reporter: Reporter = SILENT,
) -> FirstStage:
    """The first stage of a configuration that has one.

    Args:
        model: the first stage's model folder.
        splits: of the dataset; a case is segmented by the fold that validates it.
        fold: of the second stage. The one that trains on every case may follow a first stage that did so too.

    Raises:
        UserInputError: a case is in no fold's validation cases; the folds that are needed are not trained.
    """
    found = FirstStage(
        raw, plan, plan.configuration(following.previous_stage or ""), following, model, fold_of_each_case(splits)
    )
    first, second = found.configuration.name, following.name
    numbered_are_trained = all(_checkpoint(model, number).is_file() for number in found.folds)
    if fold == ALL_CASES and not numbered_are_trained and _checkpoint(model, ALL_CASES).is_file():
        reporter.event(
            "warning",
            message=f"{first} has trained on the cases that it segments for {second}, which will trust it too much.",
            hint=f"Train the numbered folds of {first}.",
        )
        return replace(found, fold_of_case={case.identifier: ALL_CASES for case in raw.cases})
    for case in raw.cases:
        if case.identifier not in found.fold_of_case:
            raise FileError(
                SPLITS_FILE,
                f"has {case.identifier} among no fold's validation cases, so that no network of {first} can segment it "
                f"for {second} without having seen it",
                "put each case into one",
            )
    found.require_trained_or_made()
    return found


@dataclass(frozen=True)
class FirstStage:
    """A cascade's first stage, as its second one needs it."""

    raw: Dataset
    plan: Plan
    configuration: Configuration
    following: Configuration
    model: Path
    """The first stage's model folder."""
    fold_of_case: dict[str, int | str]
    """Which fold segments each case."""

    @property
    def folder(self) -> Path:
        """Where its labels are."""
        return next_stage_path(self.model, self.following.name)

    @property
    def folds(self) -> tuple[int | str, ...]:
        """All that segment some case."""
        return tuple(sorted(set(self.fold_of_case.values())))

    @functools.cached_property
    def origins(self) -> dict[str, str]:
        """What the labels of each case whose fold is trained are made from."""
        files = {fold: _checkpoint(self.model, fold) for fold in self.folds}
        digests = {fold: digest_of(file) for fold, file in files.items() if file.is_file()}
        return {
            case.identifier: _origin(case, self.raw, self.plan, self.configuration, self.following, digests[fold])
            for case in self.raw.cases
            if (fold := self.fold_of_case[case.identifier]) in digests
        }

    def missing(self) -> list[str]:
        """The cases whose labels are not there, or are not what they would be if they were made now."""
        return [case.identifier for case in self.raw.cases if not self._is_current(case.identifier)]

    def _is_current(self, identifier: str) -> bool:
        stored = origin_of_previous_labels(self.folder, identifier)
        origins = (self.origins.get(identifier), _origin_of_blosc2(blosc2_path(self.folder, identifier)))
        return stored is not None and stored in origins

    def _nnunet_left(self, identifier: str) -> bool:
        """Whether there are labels of nnU-Net's first stage, and what it takes to read them."""
        path = blosc2_path(self.folder, identifier)
        return path.is_file() and blosc2_is_installed() and not is_of_ours(path)

    def require_trained_or_made(self) -> None:
        """Refuse a first stage of which labels are missing that no network can make.

        Raises:
            UserInputError: the sentence names the folds, and how to train them.
        """
        lacking = [name for name in self.missing() if name not in self.origins and not self._nnunet_left(name)]
        if not lacking:
            return
        folds = sorted({self.fold_of_case[identifier] for identifier in lacking})
        first, second = self.configuration.name, self.following.name
        one = len(folds) == 1
        lack = f"fold {folds[0]} of {first} is" if one else f"folds {_listed(folds)} of {first} are"
        theirs = blosc2_path(self.folder, lacking[0])
        install = ""
        if theirs.is_file() and not blosc2_is_installed():
            install = f" (or, to read nnU-Net's {theirs.name}: pip install blosc2)"
        raise UserInputError(
            f"{self.model}: {second} learns from what {first} finds in every case, and {lack} not trained; train "
            f"{'it' if one else 'each'} first, with the same --plans and --recipe: "
            f"train {self.raw.name} {first} {folds[0] if one else 'FOLD'}{install}."
        )

    def labels(
        self,
        workspace: Workspace,
        preprocessed: Path,
        device: str,
        reporter: Reporter = SILENT,
        precision: str = AUTOMATIC,
    ) -> Path:
        """The folder of the labels of every case; what is missing is made.

        Args:
            preprocessed: the second stage's cases.
            device: that segments.

        Raises:
            UserInputError: labels do not fit the case or the dataset.
            StopRequested: between two tiles; finished cases stay.
        """
        if self.missing():
            self.folder.mkdir(parents=True, exist_ok=True)
            work = f"{self.folder}: segmenting for the second stage"
            with waiting_for(self.folder / LOCK_FILE, work, reporter) as is_alone:
                remove_abandoned(self.folder, is_alone)
                self._take_over(preprocessed)
                self._make(workspace, device, reporter, precision)
        for case in self.raw.cases:
            shape = open_training_case(preprocessed, case.identifier).segmentation.shape
            labels = open_previous_labels(self.folder, case.identifier, shape)
            path = previous_labels_path(self.folder, case.identifier)
            require_known_labels(labels, self.raw.label_scheme.all_labels, path)
        return self.folder

    def _take_over(self, preprocessed: Path) -> None:
        """What nnU-Net's first stage left becomes files that training can map into memory."""
        for identifier in filter(self._nnunet_left, self.missing()):
            path = blosc2_path(self.folder, identifier)
            labels = read_blosc2_labels(path, open_training_case(preprocessed, identifier).segmentation.shape)
            require_known_labels(labels, self.raw.label_scheme.all_labels, path)
            smallest = np.uint8 if labels.max(initial=0) < 256 else np.uint16
            save_previous_labels(self.folder, identifier, labels.clip(0).astype(smallest), _origin_of_blosc2(path))

    def _make(self, workspace: Workspace, device: str, reporter: Reporter, precision: str) -> None:
        missing, first = self.missing(), self.configuration.name
        if not missing:
            return
        folders = preprocess_dataset(self.raw, self.plan, workspace.preprocessed, [first], None, reporter, wait=True)
        stage = NextStage(self.following, self.folder, self.origins)
        for fold in self.folds:
            todo = [identifier for identifier in missing if self.fold_of_case[identifier] == fold]
            if todo:
                message = f"Fold {fold} of {first} segments {len(todo)} cases for {self.following.name}."
                reporter.event("predicting", message=message)
                segmenter = Segmenter(
                    load_model(self.model, [fold], CHECKPOINT),
                    device,
                    mirroring=True,
                    precision=precision,
                    formats_file=workspace.preprocessed / self.raw.name / FORMATS_FILE,
                    cases=len(todo),
                )
                predict_for_next_stage(segmenter, folders[first], todo, stage, reporter, self._previous_stage())

    def _previous_stage(self) -> Path | None:
        """The labels that this stage itself needs, where it is not the first of all."""
        name, before = ModelName.parse(self.model.name), self.configuration.previous_stage
        if not name or not before:
            return None
        return next_stage_path(self.model.with_name(str(replace(name, configuration=before))), self.configuration.name)


def _checkpoint(model: Path, fold: int | str) -> Path:
    return checkpoint_path(fold_path(model, fold), CHECKPOINT)


def _origin(
    case: Case, raw: Dataset, plan: Plan, configuration: Configuration, following: Configuration, checkpoint: str
) -> str:
    """A digest of everything that decides what the first stage hands over for a case."""
    content: dict[str, Any] = {
        "case": stamp_of(case, raw, plan, configuration),
        "checkpoint": checkpoint,
        "spacing": following.spacing,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _origin_of_blosc2(path: Path) -> str | None:
    """Of labels that were taken over from nnU-Net's file."""
    if not path.is_file():
        return None
    status = path.stat()
    return json.dumps(["nnU-Net", path.name, status.st_size, status.st_mtime_ns])


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
