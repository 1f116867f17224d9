"""The documents of a packed model, read where they lie: nothing is unpacked, and each passes the gate of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dataset_json import DATASET_FILE, DatasetJson, parse_dataset_json
from ..errors import FileError
from ..files import MAX_JSON_BYTES, parse_json
from ..labels import LabelScheme
from ..models import PLANS_FILE, ModelName
from ..planning import plan_from_json
from ..planning.plan import Plan
from ..planning.plan_json import MAX_PLAN_BYTES
from .contents import ModelSource, PackedModel

LONGEST_PROSE = 100_000


@dataclass(frozen=True)
class ModelDocuments:
    """What a packed model says of itself beside its weights."""

    path: Path
    """What to call its folder in a sentence."""
    dataset_json: DatasetJson
    plan: Plan

    @property
    def label_scheme(self) -> LabelScheme:
        return self.dataset_json.label_scheme

    @property
    def channel_names(self) -> tuple[str, ...]:
        return self.dataset_json.channel_names

    @property
    def file_ending(self) -> str:
        return self.dataset_json.file_ending


def read_documents(source: ModelSource, model: PackedModel) -> ModelDocuments:
    """Its dataset.json and its plan.

    Raises:
        UserInputError: one is missing or wrong.
    """
    plans = model.files[PLANS_FILE]
    if DATASET_FILE not in model.files:
        raise FileError(
            source.where(plans).parent, f"there is no {DATASET_FILE}", "copy the whole model, its dataset.json too"
        )
    described = model.files[DATASET_FILE]
    dataset_json = parse_dataset_json(read_packed_json(source, described), source.where(described))
    plan = plan_from_json(read_packed_json(source, plans, MAX_PLAN_BYTES), str(source.where(plans)))
    return ModelDocuments(source.where(plans).parent, dataset_json, plan)


def read_packed_json(source: ModelSource, name: str, most_bytes: int = MAX_JSON_BYTES) -> Any:
    """The content of a JSON file of a source; see `files.read_json`.

    Raises:
        UserInputError: it is none, or larger.
    """
    if source.files[name] > most_bytes:
        raise FileError(
            source.where(name),
            f"is larger than such a file can be ({most_bytes >> 20} MB)",
            "replace it by the right file",
        )
    return parse_json(b"".join(source.chunks(name)), source.where(name))


def read_prose(source: ModelSource, name: str) -> str:
    """The beginning of a text for people, whatever stands in it."""
    content = b""
    for chunk in source.chunks(name):
        content += chunk
        if len(content) >= LONGEST_PROSE:
            break
    return content[:LONGEST_PROSE].decode("utf-8", errors="replace")


def name_of(model: PackedModel) -> ModelName | None:
    """Trainer, plans and configuration by the name of its folder; None where it was renamed."""
    return ModelName.parse(model.folder)
