"""The mean of the probabilities that several runs of `predict` have left in folders, as nnU-Net's `ensemble` has it."""

from __future__ import annotations

import contextlib
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset import Case
from ..dataset_json import DATASET_FILE, read_dataset_json
from ..errors import FileError, UserInputError
from ..files import TEMPORARY_PREFIX, atomic_path
from ..images import SourceHeader, files_of_segmentation, read_segmentation, write_segmentation
from ..images.geometry import require_same_grid, require_same_place
from ..images.image_io import choose_image_io
from ..labels import LabelScheme
from ..models import PLANS_FILE
from ..planning import plan_to_json, read_plan
from ..planning.budget import require_volume_fits
from ..preprocessing import CaseGeometry
from .probabilities_file import read_heads, writing_heads

BYTES_PER_VOXEL = 28
"""The sum, one class as it is read, the best so far and its labels, the segmentation that gives the grid."""


@dataclass(frozen=True)
class FolderEnsemble:
    """Folders of the same cases, each with its probabilities and its segmentation, and what describes them."""

    folders: tuple[Path, ...]
    identifiers: tuple[str, ...]
    label_scheme: LabelScheme
    ending: str
    image_io: str
    documents: tuple[tuple[str, Any], ...]
    """Name and content of the files that go along with the results."""

    @classmethod
    def of(cls, folders: Sequence[Path]) -> FolderEnsemble:
        """Look at the folders; no probabilities are read.

        Raises:
            UserInputError: a folder lacks a case that another one has, or is for other labels.
        """
        if len(folders) < 2:
            raise UserInputError("--input: a single folder has nothing to be averaged with; give two or more.")
        for folder in folders:
            if not folder.is_dir():
                raise UserInputError(f"{folder}: the folder does not exist; check the path.")
        cases = _same_cases(folders)
        first = folders[0]
        source = first / DATASET_FILE
        if not source.is_file():
            raise FileError(source, "is not there, and says what the labels mean", "copy it from the model")
        described = read_dataset_json(source)
        for other in (folder / DATASET_FILE for folder in folders[1:]):
            if other.is_file() and read_dataset_json(other).label_scheme != described.label_scheme:
                raise FileError(other, f"has other labels than {source}", "average results of one dataset only")
        documents = {DATASET_FILE: described.document}
        ending = described.file_ending
        if (first / PLANS_FILE).is_file():
            plan = read_plan(first / PLANS_FILE)
            documents[PLANS_FILE] = plan_to_json(plan)
            image_io = plan.image_io
        else:
            image_io = choose_image_io(ending, first / f"{cases[0]}{ending}", described.wanted_image_io).name
        return cls(tuple(folders), cases, described.label_scheme, ending, image_io, tuple(documents.items()))

    @property
    def cases(self) -> tuple[Case, ...]:
        """By the segmentations that lie in the first folder."""
        return tuple(Case(name, (self.segmentation(self.folders[0], name),)) for name in self.identifiers)

    @property
    def sources(self) -> list[Path]:
        """All files that are read."""
        return [
            file
            for folder in self.folders
            for name in self.identifiers
            for file in (folder / f"{name}.npz", self.segmentation(folder, name))
        ] + [folder / name for folder in self.folders for name, _ in self.documents]

    def segmentation(self, folder: Path, identifier: str) -> Path:
        """The file beside the probabilities, which gives the grid."""
        return folder / f"{identifier}{self.ending}"


def average_case(ensemble: FolderEnsemble, target: Path, save_probabilities: bool, identifier: str) -> list[str]:
    """Average one case, write its results into the folder `target`, and return their names, the segmentation last.

    Probabilities go through memory class by class. Of the mean the largest wins, the first of equal ones; regions above
    a half are painted in their order.

    Raises:
        UserInputError: a file is damaged, or on another grid than that of the first folder.
    """
    header, shape = _grid_of(ensemble, identifier)
    heads = ensemble.label_scheme.head_count
    file = target / f"{identifier}{ensemble.ending}"
    require_volume_fits(shape, 1, BYTES_PER_VOXEL, "averaging the probabilities", str(file))
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(contextlib.closing(read_heads(folder / f"{identifier}.npz", (heads, *shape))))
            for folder in ensemble.folders
        ]
        take = None
        if save_probabilities:
            take = stack.enter_context(writing_heads(target / f"{identifier}.npz", (heads, *shape)))
        decision = Decision(ensemble.label_scheme, shape)
        for parts in zip(*streams, strict=True):
            mean = np.array(parts[0])
            for part in parts[1:]:
                mean += part
            mean /= len(parts)
            decision.take(mean)
            if take is not None:
                take(mean)
    names = []
    if save_probabilities:
        names = [f"{identifier}.npz", f"{identifier}.pkl"]
        geometry = CaseGeometry(header, (0, 1, 2), shape, tuple((0, size) for size in shape))
        with atomic_path(target / names[1]) as temporary:
            # nnU-Net's format. We never read a pickle.
            temporary.write_bytes(pickle.dumps(geometry.to_nnunet()))
    write_segmentation(decision.labels, file, header, ensemble.image_io)
    return names + [path.name for path in files_of_segmentation(file, ensemble.image_io)]


class Decision:
    """The labels of voxels whose probabilities come one class, or one region, after the other."""

    def __init__(self, label_scheme: LabelScheme, shape: Sequence[int]) -> None:
        self._scheme, self._taken = label_scheme, 0
        self._best = np.full(shape, -np.inf, np.float32)
        self.labels = np.zeros(shape, np.uint8 if len(label_scheme.foreground_labels) < 255 else np.uint16)
        """(z, y, x), so far."""

    def take(self, probabilities: np.ndarray) -> None:
        """Those of the next one."""
        if self._scheme.has_regions:
            self.labels[probabilities > 0.5] = self._scheme.regions_class_order[self._taken]
        else:
            better = probabilities > self._best
            self.labels[better] = self._taken
            np.maximum(self._best, probabilities, out=self._best)
        self._taken += 1


def _same_cases(folders: Sequence[Path]) -> tuple[str, ...]:
    found = {folder: _cases_in(folder) for folder in folders}
    everything = set().union(*found.values())
    for folder, names in found.items():
        missing = sorted(everything - names)
        if missing and names:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise FileError(
                folder,
                f"has no {missing[0]}.npz{more}, which another folder has",
                "segment the same cases with each model",
            )
        if not names:
            raise FileError(folder, "holds no probabilities (CASE.npz)", "segment with --save-probabilities")
    return tuple(sorted(everything))


def _cases_in(folder: Path) -> set[str]:
    return {
        path.name.removesuffix(".npz")
        for path in folder.glob("*.npz")
        if not path.name.startswith(("._", TEMPORARY_PREFIX))
    }


def _grid_of(ensemble: FolderEnsemble, identifier: str) -> tuple[SourceHeader, tuple[int, ...]]:
    paths = [ensemble.segmentation(folder, identifier) for folder in ensemble.folders]
    for path in paths:
        if not path.is_file():
            raise FileError(path, f"is not there, and gives the grid of {identifier}.npz", "segment the case again")
    first = read_segmentation(paths[0], ensemble.image_io)
    shape = first.array.shape[1:]
    for path in paths[1:]:
        other = read_segmentation(path, ensemble.image_io)
        require_same_grid(other, path, first, paths[0])
        require_same_place(other, path, first, paths[0])
    if math.prod(shape) == 0:
        raise FileError(paths[0], "has no voxels", "segment the case again")
    return first.header, shape
