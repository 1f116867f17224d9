"""The files that a run of `predict` is to leave behind, and which of them are there and complete already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dataset import Case
from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..files import MAX_JSON_BYTES, read_bytes, read_json
from ..images import files_of_segmentation
from ..models import PLANS_FILE, ModelFolder
from ..planning import plan_to_json
from .complete_results import is_complete_npz, is_complete_pickle, is_complete_segmentation
from .results_folder import ANOTHER_FOLDER, ResultsFolder


@dataclass(frozen=True)
class ExpectedResults:
    """What is to be in a folder in the end."""

    folder: Path
    cases: tuple[Case, ...]
    files: dict[str, tuple[str, ...]]
    """The names of each case's files, by its identifier."""
    documents: dict[str, Any]
    """The model's files that are missing or different beside the results, by name."""
    ending: str
    image_io: str

    @classmethod
    def of(cls, cases: Sequence[Case], model: ModelFolder, folder: Path, save_probabilities: bool) -> ExpectedResults:
        """Those of a model."""
        documents = {PLANS_FILE: plan_to_json(model.plan), DATASET_FILE: model.dataset_json.document}
        return cls.with_documents(cases, documents, model.file_ending, model.plan.image_io, folder, save_probabilities)

    @classmethod
    def with_documents(
        cls,
        cases: Sequence[Case],
        documents: dict[str, Any],
        ending: str,
        image_io: str,
        folder: Path,
        save_probabilities: bool,
    ) -> ExpectedResults:
        """Segmentations of a type, and documents that go along with them."""
        files = {case.identifier: _files_of(case.identifier, ending, image_io, save_probabilities) for case in cases}
        for name in {name for names in files.values() for name in names} & documents.keys():
            raise FileError(folder / name, "would be both a result and the model's own file", "rename the case")
        different = {name: document for name, document in documents.items() if not _says(folder / name, document)}
        return cls(folder, tuple(cases), files, different, ending, image_io)

    @property
    def names(self) -> frozenset[str]:
        """Of all files."""
        return self.results | self.documents.keys()

    @property
    def results(self) -> frozenset[str]:
        """The names of the cases' files."""
        return frozenset(name for names in self.files.values() for name in names)

    def is_damaged(self, name: str) -> bool:
        """Whether the file of that name, which is there, is no complete result, so that nothing is lost with it."""
        path = self.folder / name
        if name.endswith(".json"):
            return not _is_json(path)
        case = next(case for case in self.cases if name in self.files[case.identifier])
        if name.endswith(self.ending):
            return not is_complete_segmentation(path, case.image_files[0], self.image_io)
        return not (is_complete_npz(path) if name.endswith(".npz") else is_complete_pickle(path))

    def missing(self, results: ResultsFolder, of_any_model: bool = False) -> tuple[Case, ...]:
        """The cases some of whose files are not there or not complete.

        Raises:
            FileError: what is there was made by another model (and not `of_any_model`).
        """
        unchanged = results.unchanged(self.results)

        def is_done(name: str) -> bool:
            return name in unchanged or ((self.folder / name).is_file() and not self.is_damaged(name))

        missing = tuple(case for case in self.cases if not all(map(is_done, self.files[case.identifier])))
        is_of_another = PLANS_FILE in self.documents and (self.folder / PLANS_FILE).exists()
        if is_of_another and len(missing) < len(self.cases) and not of_any_model:
            raise FileError(
                self.folder / PLANS_FILE,
                "is of another model than the one that is to continue",
                f"{ANOTHER_FOLDER}, or leave out --continue",
            )
        return missing


def _files_of(name: str, ending: str, image_io: str, save_probabilities: bool) -> tuple[str, ...]:
    probabilities = (f"{name}.npz", f"{name}.pkl") if save_probabilities else ()
    return (*probabilities, *(file.name for file in files_of_segmentation(Path(f"{name}{ending}"), image_io)))


def _says(path: Path, document: Any) -> bool:
    try:
        text = read_bytes(path, MAX_JSON_BYTES).replace(b"\r\n", b"\n")
    except UserInputError:
        return False
    return text == json.dumps(document, indent=4).encode()


def _is_json(path: Path) -> bool:
    try:
        read_json(path)
    except UserInputError:
        return False
    return True
