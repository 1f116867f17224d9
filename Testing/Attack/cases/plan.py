"""What a plans.json may say that it must not: in a stranger's model, and in the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..attack import Attack, Expected
from ..spoils import InJson
from .plan_rows import ROWS

FAMILY = "plans.json"
FILES = {
    "predict": "{model}/plans.json",
    "look at model": "{model}/plans.json",
    "preprocess": "{preprocessed}/nnUNetPlans.json",
    "train": "{preprocessed}/nnUNetPlans.json",
    "evaluate": "{predictions}/plans.json",
}


def attacks() -> Iterator[Attack]:
    for name, keys, value, refusing in ROWS:
        for verb in ("predict", "preprocess", "train"):
            expected = Expected.REFUSED if verb in refusing else Expected.REFUSED_OR_EQUAL
            yield attack_on(verb, name, keys, value, expected)
        yield attack_on("look at model", name, keys, value, Expected.ANSWERED)


def attack_on(verb: str, name: str, keys: tuple[str | int, ...], value: Any, expected: Expected) -> Attack:
    """The verb meets a plan of which one value is another."""
    file = FILES[verb]
    return Attack(FAMILY, name, verb, (InJson(file, keys, value),), expected, (file, "checkpoint_final.pth"))
