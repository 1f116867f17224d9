"""Values that hardly any field may have."""

from __future__ import annotations

from typing import Any

NAN = float("nan")
INFINITY = float("inf")


def nested(depth: int) -> list[Any]:
    """A list in a list in a list …"""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


WRONG_VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "empty-text": "",
    "empty-list": [],
    "empty-object": {},
    "minus-one": -1,
    "zero": 0,
    "2^70": 2**70,
    "1e308": 1e308,
    "1e999": "literally:1e999",
    "nan": NAN,
    "nested": nested(50),
    "long-text": "x" * 100_000,
    "dots": "../../../x",
}
