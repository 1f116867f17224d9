"""What is wrong with a JSON document before anybody looks at its content, for every document that is read."""

from __future__ import annotations

from collections.abc import Iterator

from ..attack import Attack, Expected, Spoil
from ..special_files import SPECIAL_FILES
from ..spoils import Become, Cut, Removed, Text

FAMILY = "json"

READERS: dict[str, tuple[str, ...]] = {
    "{raw}/dataset.json": ("check", "losses", "plan", "train"),
    "{preprocessed}/nnUNetPlans.json": ("plan again", "preprocess", "train"),
    "{preprocessed}/dataset_fingerprint.json": ("plan again",),
    "{preprocessed}/splits_final.json": ("train",),
    "{model}/plans.json": ("predict", "look at model", "pretrained model", "plan from model"),
    "{model}/dataset.json": ("predict", "look at model", "look for models", "pretrained model", "plan from model"),
    "{predictions}/dataset.json": ("evaluate",),
    "{predictions}/plans.json": ("evaluate",),
    "{sources}/Task01_Balls/dataset.json": ("import decathlon",),
    "{sources}/Task001_Balls/dataset.json": ("import nnunet-v1",),
}
"""Each document, and the verbs that read it."""

SHOW_WHAT_THERE_IS = ("look for models",)
"""They pass over what cannot be used."""
MADE_ANEW = (
    "{preprocessed}/nnUNetPlans.json",
    "{preprocessed}/splits_final.json",
    "{preprocessed}/dataset_fingerprint.json",
    "{predictions}/plans.json",
)
"""Where there is none, it is made or not needed; so it may also take the place of what is no file."""

DEEP = 100_000
TEXTS: dict[str, bytes] = {
    "empty": b"",
    "cut": b'{"labels": {"backgr',
    "null": b"null",
    "list": b"[]",
    "number": b"7",
    "text": b'"text"',
    "deep-lists": b"[" * DEEP + b"]" * DEEP,
    "deep-objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep-unclosed": b"[" * (10 * DEEP),
    "giant-number": b'{"numTraining": ' + b"9" * 10_000 + b"}",
    "infinite-number": b'{"numTraining": 1e999}',
    "duplicate-keys": b'{"labels": {"background": 0}, "labels": {"background": 1}}',
    "utf-16": '{"labels": {}}'.encode("utf-16"),
    "latin-1": '{"labels": {"é": 0}}'.encode("latin-1"),
    "binary": bytes(range(256)) * 40,
    "nul-bytes": b"\0" * 1000,
    "two-documents": b"{}{}",
    "python": b"{'labels': None}",
    "comment": b"// a comment\n{}",
    "surrogate": b'{"labels": {"\\ud800": 0}}',
}


def attacks() -> Iterator[Attack]:
    for file, verbs in READERS.items():
        for verb in verbs:
            for name, text in TEXTS.items():
                yield _attack(file, verb, name, Text(file, text))
            for name, make in SPECIAL_FILES.items():
                yield _attack(file, verb, name, Become(file, make))
            yield _attack(file, verb, "half", Cut(file, 0.5))
            if file not in MADE_ANEW:
                yield _attack(file, verb, "missing", Removed(file))


def _attack(file: str, verb: str, name: str, spoil: Spoil) -> Attack:
    expected = Expected.ANSWERED if verb in SHOW_WHAT_THERE_IS else Expected.REFUSED
    if isinstance(spoil, Become) and file in MADE_ANEW:
        # A plan that is made anew is the planner's own, and trains another network than the small one that was there.
        expected = Expected.ANSWERED if verb == "train" else Expected.REFUSED_OR_EQUAL
    short = file.rpartition("}/")[2]
    return Attack(FAMILY, f"{short}-{name}", verb, (spoil,), expected, (file,))
