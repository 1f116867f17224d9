"""Cases that nobody listed: documents, headers and checkpoints changed by chance, which a seed fixes.

Three grammars: JSON documents (a value somewhere in the tree becomes another, goes, is doubled, or moves), NIfTI
headers (a field gets a value of its type), and checkpoints (a value of its content, or bytes of its archive). What
comes of it may well be sound; so only the dangerous is judged: nothing executed, nothing outside, no traceback, no
hang, no growth, and a refusal is a readable sentence.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .archives import InCheckpoint
from .attack import Attack, Expected
from .image_files import NIFTI1_FIELDS, InHeader
from .place import Place
from .spoils import LITERAL
from .wrong_values import INFINITY, NAN, nested

FAMILY = "generated"

DOCUMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("{raw}/dataset.json", ("check", "plan", "train")),
    ("{model}/dataset.json", ("predict", "look at model")),
    ("{model}/plans.json", ("predict", "predict", "look at model")),
    ("{preprocessed}/nnUNetPlans.json", ("preprocess", "train", "plan again")),
    ("{preprocessed}/dataset_fingerprint.json", ("plan again",)),
    ("{preprocessed}/splits_final.json", ("train",)),
    ("{predictions}/dataset.json", ("evaluate",)),
    ("{predictions}/plans.json", ("evaluate",)),
    ("{sources}/Task01_Balls/dataset.json", ("import decathlon",)),
    ("{run}/run.json", ("look at runs", "runs list")),
    ("{run}/launcher.json", ("look at runs", "kill run")),
)
TEXTS = ("", "x", "..", "../../x", "/tmp", "a/b", "os.system", "0", "-1", "nan", "None", "\0", "\x1b[2J", "ü", "\ud800",
         "x" * 3000, "con", "a\nb", "%s%n", "${HOME}", "{}", "background", "ignore", "3d_fullres",
         "torch.nn.ReLU")  # fmt: skip
NUMBERS = (0, -1, 1, 2, 3, 7, 255, 65_536, 2**31, 2**63, 2**70, 0.5, -0.0, 1e-9, 1e9, 1e308, NAN, INFINITY, -INFINITY,
           "literally:1e999", "literally:-0", "literally:1E5", True, False)  # fmt: skip


def attacks(seed: int, count: int) -> Iterator[Attack]:
    """So many cases; the same for the same seed, and the first of more are the same as those of fewer."""
    for number in range(count):
        name = f"seed-{seed}-{number}"
        chance = random.Random(f"{seed} {number}")
        kind = chance.choices((_document, _header, _content, _archive), (6, 2, 2, 1))[0]
        yield kind(name, chance)


def _document(name: str, chance: random.Random) -> Attack:
    file, verbs = chance.choice(DOCUMENTS)
    return _of(chance.choice(verbs), name, InDocument(file, name, chance.choice((1, 1, 1, 2, 4))))


def _header(name: str, chance: random.Random) -> Attack:
    file, verbs = chance.choice((
        ("{raw}/imagesTr/ball_0_0000.nii.gz", ("check", "preprocess", "fingerprint")),
        ("{raw}/labelsTr/ball_0.nii.gz", ("check", "preprocess")),
        ("{images}/ball_0_0000.nii.gz", ("predict",)),
        ("{predictions}/ball_0.nii.gz", ("evaluate",)),
    ))  # fmt: skip
    fields = {
        field: _of_form(NIFTI1_FIELDS[field][1], chance)
        for field in chance.sample(sorted(NIFTI1_FIELDS), chance.randint(1, 3))
    }
    return _of(chance.choice(verbs), name, InHeader(file, fields, chance.choice((1.0, 1.0, chance.random()))))


def _content(name: str, chance: random.Random) -> Attack:
    file, verb = chance.choice((
        ("{fold}/checkpoint_final.pth", "predict"),
        ("{results}/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_latest.pth", "resume"),
    ))  # fmt: skip
    return _of(verb, name, InCheckpoint(file, lambda content: changed_somewhere(content, random.Random(name))))


def _archive(name: str, chance: random.Random) -> Attack:
    return _of("predict", name, Scrambled("{fold}/checkpoint_final.pth", name))


def _of(verb: str, name: str, spoil: Any) -> Attack:
    return Attack(FAMILY, name, verb, (spoil,), Expected.ANSWERED)


def _of_form(form: str, chance: random.Random) -> Any:
    count, kind = int(form[:-1] or 1), form[-1]
    if kind == "s":
        return bytes(chance.randrange(256) for _ in range(count))
    choices = {
        "f": (0.0, -1.0, NAN, INFINITY, 1e30, 1e-30, 352.0, 1e9, 1.0),
        "h": (0, -1, 1, 2, 3, 7, 8, 16, 32767, -32768, 64),
        "i": (0, -1, 348, 540, 2**31 - 1),
        "B": (0, 255, 7),
    }[kind]
    return tuple(chance.choice(choices) for _ in range(count))


@dataclass(frozen=True)
class InDocument:
    """A JSON document is changed at some places that its seed draws."""

    file: str
    seed: str
    changes: int

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        chance = random.Random(self.seed)
        document = json.loads(path.read_text(encoding="utf-8"))
        for _ in range(self.changes):
            document = changed_somewhere(document, chance)
        text = LITERAL.sub(lambda match: match[1], json.dumps(document))
        path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Scrambled:
    """Some bytes of a file are others, are gone, or stand there twice."""

    file: str
    seed: str

    def __call__(self, place: Place) -> None:
        path: Path = place.path(self.file)
        chance = random.Random(self.seed)
        content = bytearray(path.read_bytes())
        for _ in range(chance.choice((1, 1, 3, 20))):
            at, length = chance.randrange(len(content)), chance.choice((1, 1, 4, 64, 1000))
            piece = content[at : at + length]
            content[at : at + length] = chance.choice((b"", piece * 2, bytes(len(piece)), chance.randbytes(len(piece))))
        path.write_bytes(bytes(content))


def changed_somewhere(document: Any, chance: random.Random) -> Any:
    """The document with one change somewhere in its tree."""
    if isinstance(document, dict) and document and chance.random() < 0.85:
        key = chance.choice(list(document))
        return _with_changed_key(document, key, chance)
    if isinstance(document, list) and document and chance.random() < 0.7:
        at = chance.randrange(len(document))
        how = chance.random()
        if how < 0.1:
            return document[:at] + document[at + 1 :]
        if how < 0.2:
            return [*document, document[at]]
        return [*document[:at], changed_somewhere(document[at], chance), *document[at + 1 :]]
    return _other(document, chance)


def _with_changed_key(document: dict[Any, Any], key: Any, chance: random.Random) -> dict[Any, Any]:
    how = chance.random()
    if how < 0.08:
        return {name: value for name, value in document.items() if name != key}
    if how < 0.14:
        return {**{name: value for name, value in document.items() if name != key}, chance.choice(TEXTS): document[key]}
    if how < 0.2:
        return {**document, key: document[chance.choice(list(document))]}
    return {**document, key: changed_somewhere(document[key], chance)}


def _other(value: Any, chance: random.Random) -> Any:
    kinds = (
        lambda: chance.choice(NUMBERS),
        lambda: chance.choice(TEXTS),
        lambda: None,
        lambda: [value],
        lambda: {"0": value},
        lambda: [value] * chance.choice((0, 2, 3, 1000)),
        lambda: nested(chance.choice((3, 90))),
    )
    return chance.choices(kinds, (6, 3, 1, 1, 1, 1, 1))[0]()
