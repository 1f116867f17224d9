"""splits_final.json, dataset_fingerprint.json and preprocessed cases that somebody else has written."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from ..attack import Attack, Expected
from ..spoils import InJson, Text
from ..wrong_values import INFINITY, NAN, WRONG_VALUES, nested

FAMILY = "preprocessed"
SPLITS, USERS = "{preprocessed}/splits_final.json", "{raw}/splits_final.json"
FINGERPRINT = "{preprocessed}/dataset_fingerprint.json"
CASE = "{preprocessed}/nnUNetPlans_3d_fullres/ball_0.case.safetensors"
EQUAL = Expected.REFUSED_OR_EQUAL


def _split(train: Any, val: Any) -> list[dict[str, Any]]:
    return [{"train": train, "val": val}] * 3


WRONG_SPLITS: dict[str, Any] = {
    "unknown-names": _split(["x"], ["ball_0"]),
    "climbing-names": _split(["../../../../outside/x/stale"], ["ball_0"]),
    "absolute-names": _split(["/etc/passwd"], ["ball_0"]),
    "climbing-validation": _split(["ball_1"], ["../../../../outside/ball_0"]),
    "numbers": _split([0, 1], [2]),
    "nulls": _split([None], [None]),
    "text": _split("ball_0", "ball_1"),
    "object": _split({"ball_0": 1}, ["ball_1"]),
    "nested": _split([["ball_0"]], ["ball_1"]),
    "deep": _split(nested(400), ["ball_1"]),
    "no-training": _split([], ["ball_0"]),
    "empty": [],
    "list-of-lists": [["ball_0"], ["ball_1"]],
    "no-val": [{"train": ["ball_0"]}],
    "object-instead": {"train": ["ball_0"], "val": ["ball_1"]},
    "empty-name": _split([""], ["ball_0"]),
    "dot-name": _split(["."], ["ball_0"]),
    "million-names": _split([f"x{number}" for number in range(300_000)], ["ball_0"]),
}
ODD_SPLITS: dict[str, Any] = {
    "overlapping": _split(["ball_0", "ball_1"], ["ball_0"]),
    "no-validation": _split(["ball_0", "ball_1"], []),
    "same-case-often": _split(["ball_1"] * 1000, ["ball_0"] * 10),
    "thousands-of-folds": [{"train": ["ball_1", "ball_2"], "val": ["ball_0"]}] * 5000,
    "more-keys": [{"train": ["ball_1", "ball_2"], "val": ["ball_0"], "test": 7}] * 3,
}
FIRST = ("foreground_intensity_properties_per_channel", "0")
WRONG_FINGERPRINTS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    **{f"spacing-{name}": (("spacings", 0), value) for name, value in
       (("zero", [0, 1, 1]), ("nan", [NAN, 1, 1]), ("negative", [-1, 1, 1]), ("two", [1, 1]), ("1e9", [1e9] * 3),
        ("1e-9", [1e-9] * 3), ("texts", ["1", "1", "1"]), ("null", None), ("empty", []), ("infinite", [INFINITY, 1, 1]),
        ("2^70", [2**70, 1, 1]))},
    **{f"size-{name}": (("shapes_after_crop", 0), value) for name, value in
       (("zero", [0, 16, 16]), ("negative", [-16, 16, 16]), ("10^9", [10**9] * 3), ("2^70", [2**70, 16, 16]),
        ("two", [16, 16]),
        ("nan", [NAN, 16, 16]), ("texts", ["16"] * 3), ("null", None), ("halves", [16.5, 16, 16]))},
    **{f"{key}-{name}": ((key,), value) for key in
       ("spacings", "shapes_after_crop", "foreground_intensity_properties_per_channel",
        "median_relative_size_after_cropping")
       for name, value in WRONG_VALUES.items()},
    **{f"intensity-{key}-{name}": ((*FIRST, key), value) for key in ("mean", "std", "percentile_00_5", "max")
       for name, value in (("nan", NAN), ("text", "x"), ("null", None), ("1e308", 1e308), ("list", []))},
    "std-negative": ((*FIRST, "std"), -1),
    "percentiles-unordered": ((*FIRST, "percentile_00_5"), 1e6),
    "relative-size-negative": (("median_relative_size_after_cropping",), -1),
    "relative-size-huge": (("median_relative_size_after_cropping",), 7),
    "more-spacings": (("spacings",), [[1, 1, 1]] * 100_000),
}  # fmt: skip


def _safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _tensor(dtype: str, shape: list[Any], offsets: list[Any]) -> dict[str, Any]:
    return {
        name: {"dtype": dtype, "shape": shape, "data_offsets": offsets} for name in ("image", "labels", "data", "seg")
    }


WRONG_CASES: dict[str, bytes] = {
    "header-endless": _safetensors(b"{}", length=2**62),
    "header-negative": _safetensors(b"{}", length=2**64 - 1),
    "header-deep": _safetensors(b'{"a":' * 100_000),
    "header-list": _safetensors([]),
    "header-empty": _safetensors({}),
    "no-json": _safetensors(b"\xff" * 100),
    "tensor-huge": _safetensors(_tensor("F32", [10**6, 10**6, 10**6], [0, 4 * 10**18])),
    "tensor-beyond": _safetensors(_tensor("F32", [1, 24, 24, 24], [0, 55296]), bytes(10)),
    "tensor-negative": _safetensors(_tensor("F32", [-1, 24, 24, 24], [0, 4]), bytes(4)),
    "offsets-backwards": _safetensors(_tensor("F32", [1, 1, 1, 1], [4, 0]), bytes(4)),
    "offsets-text": _safetensors(_tensor("F32", [1, 1, 1, 1], ["0", "4"]), bytes(4)),
    "type-unknown": _safetensors(_tensor("X99", [1, 1, 1, 1], [0, 4]), bytes(4)),
    "shape-text": _safetensors(_tensor("F32", ["a"], [0, 4]), bytes(4)),
}


def attacks() -> Iterator[Attack]:
    for name, value in WRONG_SPLITS.items():
        for file in (SPLITS, USERS):
            side = "splits" if file == SPLITS else "users-splits"
            # The user's own differ from the ones that were made, which is refused as well.
            named = (file, SPLITS, "Fold 0")
            # The file that is written from a document is small enough to be written at once.
            yield _of("train", f"{side}-{name}", Text(file, json.dumps(value)), Expected.REFUSED, *named)
    for name, value in ODD_SPLITS.items():
        yield _of("train", f"splits-{name}", Text(SPLITS, json.dumps(value)), Expected.ANSWERED)
    for name in ("climbing-validation", "unknown-names", "numbers"):
        yield _of("validate", f"splits-{name}", Text(SPLITS, json.dumps(WRONG_SPLITS[name])), Expected.REFUSED, SPLITS)
    for name, (keys, value) in WRONG_FINGERPRINTS.items():
        yield _of("plan again", f"fingerprint-{name}", InJson(FINGERPRINT, keys, value), EQUAL, FINGERPRINT)
    for name, content in WRONG_CASES.items():
        for verb in ("train", "preprocess again"):
            # Made again, or refused.
            yield _of(verb, f"case-{name}", Text(CASE, content), EQUAL, CASE)


def _of(verb: str, name: str, spoil: Any, expected: Expected, *named: str) -> Attack:
    return Attack(FAMILY, name, verb, (spoil,), expected, named)
