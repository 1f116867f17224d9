"""Which files of a trained model are shared, and what of them is left at home.

What goes along: what nnU-Net's own export takes (plans, dataset.json with names, colours and terminology, fingerprint,
weights, curves, summaries, postprocessing), and licences, readmes and citations. What stays: where files lay on this
computer, logs, segmentations of training cases, probabilities and, unless it is wanted, the state of the training.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from ..dataset_json import DATASET_FILE
from ..files import read_json
from ..inference.model import fits_plan, require_consistent
from ..models import (
    FINGERPRINT_FILE,
    PLANS_FILE,
    SUMMARY_FILE,
    VALIDATION_FOLDER,
    ModelFolder,
    ModelName,
    fold_of,
    fold_path,
)
from ..models.names import FOLD_PREFIX
from ..networks import describe_checkpoint, read_checkpoint, with_aliases
from ..networks.checkpoint import checkpoint_bytes
from ..networks.weights import own_weights, require_finite_tensors
from ..schema import Rule
from .layout import LICENCE, PROSE
from .packing import Member
from .postprocessing import POSTPROCESSING_FILE, POSTPROCESSING_PICKLE, pickle_of, steps_of

PICTURES = ("progress.png", "network_architecture.pdf", "network_architecture.png")
PLACE = re.compile(r"/|[A-Za-z]:[\\/]|\\\\")
"""How the path of a file on somebody's computer begins."""
ENSEMBLE = "___"


@dataclass(frozen=True)
class SharedModel:
    """A model that is to be shared, and as what."""

    files: ModelFolder
    dataset: str
    """`DatasetXXX_Name`."""
    name: ModelName
    checkpoints: dict[str, Path]
    """By the fold's name."""
    with_optimizer: bool = False
    """Whether training can be gone on with; twice the size."""

    @property
    def place(self) -> str:
        """Its folder in the archive, with the `/` at the end."""
        return f"{self.dataset}/{self.name}/"


def members_of(model: SharedModel) -> Iterator[Member]:
    """The files of a model, in the order of nnU-Net's export.

    Raises:
        UserInputError: one of them is not what it should be.
    """
    folder, place = model.files.path, model.place
    require_consistent(model.files)
    for fold, checkpoint in model.checkpoints.items():
        inside = f"{place}{fold_path(Path(), fold).name}/"
        yield _weights(model, f"{inside}{checkpoint.name}", checkpoint)
        of_fold = fold_path(folder, fold)
        yield from (Member.of_file(inside + name, of_fold / name) for name in PICTURES if _is_own_file(of_fold / name))
        summary = of_fold / VALIDATION_FOLDER / SUMMARY_FILE
        if summary.is_file():
            yield _document(f"{inside}{VALIDATION_FOLDER}/{SUMMARY_FILE}", summary)
    cross_validation = f"crossval_results_folds_{'_'.join(model.checkpoints)}"
    yield from _found_by_comparing(place + cross_validation, folder / cross_validation)
    yield Member.of_file(place + PLANS_FILE, folder / PLANS_FILE)
    if _is_own_file(folder / FINGERPRINT_FILE):
        yield Member.of_file(place + FINGERPRINT_FILE, folder / FINGERPRINT_FILE)
    yield Member.of_file(place + DATASET_FILE, folder / DATASET_FILE)
    yield from _prose(place, folder)


def members_beside(results: Path, dataset: str, shared: Sequence[SharedModel]) -> Iterator[Member]:
    """What belongs to several models of a dataset: ensembles of those that are shared, and which model is the best.

    Args:
        results: the dataset's folder of results.
    """
    names = {str(model.name) for model in shared}
    for ensemble in sorted(results.glob(f"ensembles/ensemble{ENSEMBLE}*")):
        if set(ensemble.name.split(ENSEMBLE)[1:-1]) <= names:
            yield from _found_by_comparing(f"{dataset}/ensembles/{ensemble.name}", ensemble)
    information = results / "inference_information.json"
    if information.is_file():
        yield _document(f"{dataset}/{information.name}", information)
    yield from _prose(f"{dataset}/", results)


def has_licence(model: SharedModel) -> bool:
    """Whether whoever gets it learns what he may do with it."""
    texts = (path.name for folder in (model.files.path, model.files.path.parent) for path in folder.iterdir())
    return any(map(LICENCE.fullmatch, texts)) or bool({"licence", "license"} & model.files.dataset_json.document.keys())


def _weights(model: SharedModel, name: str, checkpoint: Path) -> Member:
    rule = fits_plan(model.files, checkpoint)
    describe_checkpoint(checkpoint, rule)
    if model.with_optimizer:
        return Member.of_file(name, checkpoint)

    return Member(name, lambda: [checkpoint_bytes(_slimmed(model, checkpoint, rule))])


def _slimmed(model: SharedModel, checkpoint: Path, rule: Rule) -> dict[str, Any]:
    """What segmenting and fine-tuning read of a checkpoint, there and here; plans are those of the model's folder."""
    said = read_checkpoint(checkpoint, rule)
    weights = own_weights(said["network_weights"], checkpoint)
    require_finite_tensors(weights, checkpoint)
    epoch, fold = said.get("current_epoch"), checkpoint.parent.name.removeprefix(FOLD_PREFIX)
    return {
        "network_weights": with_aliases(weights),
        "current_epoch": epoch if isinstance(epoch, int) else 0,
        "init_args": {
            "plans": read_json(model.files.path / PLANS_FILE),
            "configuration": said["init_args"]["configuration"],
            "fold": fold_of(fold),
            "dataset_json": model.files.dataset_json.document,
        },
        "trainer_name": said.get("trainer_name") or model.name.trainer,
        "inference_allowed_mirroring_axes": said.get("inference_allowed_mirroring_axes"),
    }


def _found_by_comparing(place: str, folder: Path) -> Iterator[Member]:
    """The summary of a cross-validation or an ensemble, and the postprocessing that was found on it."""
    if (folder / SUMMARY_FILE).is_file():
        yield _document(f"{place}/{SUMMARY_FILE}", folder / SUMMARY_FILE)
    steps = folder / POSTPROCESSING_FILE
    if steps.is_file():
        document = read_json(steps)
        yield Member.of_bytes(f"{place}/{POSTPROCESSING_PICKLE}", pickle_of(steps_of(document, steps)))
        yield _document(f"{place}/{POSTPROCESSING_FILE}", steps)


def _document(name: str, path: Path) -> Member:
    return Member.of_bytes(name, json.dumps(without_places(read_json(path)), indent=4).encode("utf-8"))


def without_places(value: Any) -> Any:
    """A document in which every absolute path is only the name of its file: where it lay is nobody's business."""
    if isinstance(value, dict):
        return {key: without_places(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_places(part) for part in value]
    return PureWindowsPath(value).name if isinstance(value, str) and PLACE.match(value) else value


def _prose(place: str, folder: Path) -> Iterator[Member]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if PROSE.fullmatch(path.name) and _is_own_file(path):
                yield Member.of_file(place + path.name, path)


def _is_own_file(path: Path) -> bool:
    """Whether it is the model's: a link in a stranger's folder may lead to what nobody wants to share."""
    return path.is_file() and not path.is_symlink()
