"""The tables, a file per family."""

from __future__ import annotations

from ..attack import Attack
from . import (
    checkpoint,
    dataset_json,
    dataset_listing,
    folds,
    images,
    json_text,
    kills,
    labels,
    options,
    outputs,
    plan,
    runs,
    segments,
    splits,
)

TABLES = (
    json_text,
    dataset_json,
    dataset_listing,
    plan,
    checkpoint,
    folds,
    splits,
    runs,
    images,
    labels,
    segments,
    options,
    outputs,
    kills,
)


def all_attacks(seed: int, generated: int) -> list[Attack]:
    """Every row of every table, and as many generated cases as asked for."""
    return [attack for table in TABLES for attack in table.attacks()]
