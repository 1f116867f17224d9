"""Case names and files of an explicit `dataset` listing: they become paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..attack import Attack, Expected
from ..special_files import a_fifo
from ..spoils import Become, InJson

FAMILY = "listing"
RAW = "{raw}/dataset.json"


def _entry(number: int) -> dict[str, Any]:
    return {"images": [f"imagesTr/ball_{number}_0000.nii.gz"], "label": f"labelsTr/ball_{number}.nii.gz"}


WRONG_NAMES: dict[str, str] = {
    "climbs": "../../../../outside/x/stale",
    "climbs-one": "../x",
    "absolute": "{outside}/x/stale",
    "folder": "a/b",
    "backslash": "a\\b",
    "drive": "C:x",
    "empty": "",
    "dot": ".",
    "dots": "..",
    "device": "con",
    "device-with-ending": "nul.txt",
    "endless": "a" * 300,
    "nul": "a\0b",
    "newline": "a\nb",
    "escape": "a\x1b[31m",
    "trailing-dot": "a.",
    "trailing-space": "a ",
    "question-mark": "a?",
    "surrogate": "a\ud800",
}

WRONG_ENTRIES: dict[str, Any] = {
    "null": None,
    "list": [],
    "no-images": {"label": "labelsTr/ball_0.nii.gz"},
    "no-label": {"images": ["imagesTr/ball_0_0000.nii.gz"]},
    "images-text": {**_entry(0), "images": "imagesTr/ball_0_0000.nii.gz"},
    "images-empty": {**_entry(0), "images": []},
    "images-numbers": {**_entry(0), "images": [7]},
    "images-null": {**_entry(0), "images": [None]},
    "images-nested": {**_entry(0), "images": [["imagesTr/ball_0_0000.nii.gz"]]},
    "images-twice": {**_entry(0), "images": ["imagesTr/ball_0_0000.nii.gz"] * 2},
    "images-of-system": {**_entry(0), "images": ["/etc/passwd"]},
    "images-endless": {**_entry(0), "images": ["/dev/zero"]},
    "images-folder": {**_entry(0), "images": ["imagesTr"]},
    "images-empty-text": {**_entry(0), "images": [""]},
    "images-nul": {**_entry(0), "images": ["a\0b.nii.gz"]},
    "images-too-long": {**_entry(0), "images": ["x" * 5000 + ".nii.gz"]},
    "label-null": {**_entry(0), "label": None},
    "label-list": {**_entry(0), "label": ["labelsTr/ball_0.nii.gz"]},
    "label-missing": {**_entry(0), "label": "labelsTr/nowhere.nii.gz"},
    "label-empty": {**_entry(0), "label": ""},
    "label-of-system": {**_entry(0), "label": "/etc/passwd"},
    "label-unknown-variable": {**_entry(0), "label": "$NO_SUCH_VARIABLE/ball_0.nii.gz"},
}

WRONG_LISTINGS: dict[str, Any] = {
    "null": None,
    "empty": {},
    "list": [_entry(0)],
    "text": "imagesTr",
    "number": 7,
    "true": True,
}


def attacks() -> Iterator[Attack]:
    sound = {f"ball_{number}": _entry(number) for number in range(3)}
    for name, case in WRONG_NAMES.items():
        for verb in ("check", "preprocess", "train"):
            yield Attack(FAMILY, f"name-{name}", verb, (_Named(case),), named=(RAW,))
    for name, entry in WRONG_ENTRIES.items():
        files = (RAW, "{raw}", "/etc/passwd", "/dev/zero", "ball_0")
        for verb in ("check", "preprocess"):
            yield Attack(FAMILY, f"entry-{name}", verb, (_listing({**sound, "ball_0": entry}),), named=files)
    for name, listing in WRONG_LISTINGS.items():
        for verb in ("check", "plan"):
            yield Attack(FAMILY, f"listing-{name}", verb, (_listing(listing),), named=(RAW,))
    for verb in ("check", "preprocess"):
        yield Attack(FAMILY, "name-hidden", verb, (_Named(".hidden"),), Expected.ANSWERED, (RAW,))
    yield Attack(FAMILY, "sound", "plan", (_listing(sound),), Expected.HARMLESS)
    fifo = Become("{raw}/imagesTr/ball_0_0000.nii.gz", a_fifo)
    for verb in ("check", "fingerprint", "preprocess"):
        yield Attack(FAMILY, "image-fifo", verb, (_listing(sound), fifo), named=("{raw}/imagesTr/ball_0_0000.nii.gz",))


def _listing(value: Any) -> InJson:
    return InJson(RAW, ("dataset",), value)


class _Named(InJson):
    """The first case of a listing has this name, in which `{outside}` may stand."""

    def __init__(self, case: str) -> None:
        super().__init__(RAW, ("dataset",), case)

    def __call__(self, place) -> None:
        listing = {place.named(self.value): _entry(0), **{f"ball_{number}": _entry(number) for number in (1, 2)}}
        InJson(self.file, self.keys, listing)(place)
