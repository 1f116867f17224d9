"""The tables, a file per family."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import zip_longest

from .. import grammar
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
    model_zips,
    nnunet_cases,
    options,
    other_formats,
    outputs,
    plan,
    probabilities,
    recipe,
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
    model_zips,
    splits,
    nnunet_cases,
    runs,
    images,
    other_formats,
    labels,
    segments,
    options,
    recipe,
    outputs,
    probabilities,
    kills,
)


def all_attacks(seed: int, generated: int) -> list[Attack]:
    """Every row of every table, and as many generated cases as asked for."""
    listed = [attack for table in TABLES for attack in table.attacks()]
    return [*listed, *grammar.attacks(seed, generated)]


def sampled(attacks: Sequence[Attack], count: int, seed: int) -> list[Attack]:
    """So many of them, drawn by the seed, of each family as many as of the others."""
    families: dict[str, list[Attack]] = {}
    for attack in attacks:
        families.setdefault(attack.family, []).append(attack)
    for family, members in families.items():
        random.Random(f"{seed} {family}").shuffle(members)
    in_turn = [attack for row in zip_longest(*families.values()) for attack in row if attack is not None]
    return in_turn[:count]
