"""The tables, a file per family."""

from __future__ import annotations

from ..attack import Attack
from . import checkpoint, dataset_json, dataset_listing, json_text, plan

TABLES = (
    json_text.attacks,
    dataset_json.attacks,
    dataset_listing.attacks,
    plan.attacks,
    checkpoint.attacks,
)


def all_attacks(seed: int, generated: int) -> list[Attack]:
    """Every row of every table, and as many generated cases as asked for."""
    return [attack for table in TABLES for attack in table()]
