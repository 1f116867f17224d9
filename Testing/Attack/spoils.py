"""Ways to spoil a file, as data: each is called with the place before anybody looks."""

from __future__ import annotations

import copy
import enum
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .place import Place

Key = str | int


@dataclass(frozen=True)
class InJson:
    """Change a JSON document: the value at `keys` becomes `value`; see `GONE`."""

    file: str
    keys: tuple[Key, ...]
    value: Any

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        document = json.loads(path.read_text(encoding="utf-8"))
        value = place.named(self.value) if isinstance(self.value, str) else copy.deepcopy(self.value)
        text = json.dumps(with_value(document, self.keys, value))
        path.write_text(LITERAL.sub(lambda match: match[1], text), encoding="utf-8")


LITERAL = re.compile(r'"literally:([^"]*)"')
"""A text of this form becomes what stands behind the colon, for numbers that no Python value is written as."""


class Gone(enum.Enum):
    """As the value of a key: the key is removed."""

    GONE = enum.auto()


GONE = Gone.GONE


def with_value(document: Any, keys: Sequence[Key], value: Any) -> Any:
    """The document with another value there; missing objects on the way are made."""
    if not keys:
        return value
    inner = document
    for key in keys[:-1]:
        inner = inner.setdefault(key, {}) if isinstance(inner, dict) else inner[key]
    if value is GONE:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return document


@dataclass(frozen=True)
class Merged:
    """The object at `keys` of a JSON document gets more entries."""

    file: str
    keys: tuple[Key, ...]
    entries: dict[str, Any]

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        document = inner = json.loads(path.read_text(encoding="utf-8"))
        for key in self.keys:
            inner = inner[key]
        inner.update(self.entries)
        path.write_text(json.dumps(document), encoding="utf-8")


@dataclass(frozen=True)
class Text:
    """The whole file becomes this text."""

    file: str
    text: str | bytes

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = place.named(self.text).encode("utf-8") if isinstance(self.text, str) else self.text
        path.unlink(missing_ok=True)
        path.write_bytes(text)


@dataclass(frozen=True)
class Replaced:
    """The first `old` in the file's bytes becomes `new`."""

    file: str
    old: bytes
    new: bytes

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        content = path.read_bytes()
        if self.old not in content:
            raise ValueError(f"{self.file} does not hold {self.old!r}")
        path.write_bytes(content.replace(self.old, self.new, 1))


@dataclass(frozen=True)
class Cut:
    """Only this share of the file is left."""

    file: str
    share: float

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        content = path.read_bytes()
        path.write_bytes(content[: int(self.share * len(content))])


@dataclass(frozen=True)
class Flipped:
    """One byte, at this share of the file's length, has all its bits turned."""

    file: str
    share: float

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        content = bytearray(path.read_bytes())
        content[int(self.share * (len(content) - 1))] ^= 0xFF
        path.write_bytes(bytes(content))


@dataclass(frozen=True)
class Become:
    """Something that is no file takes the file's place."""

    file: str
    make: Callable[[Path], None]

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self.make(path)


@dataclass(frozen=True)
class Linked:
    """A symbolic link to somewhere else takes the file's place."""

    file: str
    target: str

    def __call__(self, place: Place) -> None:
        path = place.path(self.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(place.named(self.target))


@dataclass(frozen=True)
class Removed:
    """The file is missing."""

    file: str

    def __call__(self, place: Place) -> None:
        place.path(self.file).unlink()


@dataclass(frozen=True)
class By:
    """A change that only a function can describe."""

    file: str
    change: Callable[[Path], None]

    def __call__(self, place: Place) -> None:
        self.change(place.path(self.file))


@dataclass(frozen=True)
class Copied:
    """A file stands at another place too."""

    file: str
    target: str

    def __call__(self, place: Place) -> None:
        target = place.path(self.target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(place.path(self.file).read_bytes())


@dataclass(frozen=True)
class CopiedFolder:
    """A folder stands at another place too, with all that is in it."""

    folder: str
    target: str

    def __call__(self, place: Place) -> None:
        shutil.copytree(place.path(self.folder), place.path(self.target))


@dataclass(frozen=True)
class Folder:
    """A folder with a file in it is there."""

    path: str
    inside: str = "precious.txt"

    def __call__(self, place: Place) -> None:
        folder = place.path(self.path)
        folder.mkdir(parents=True, exist_ok=True)
        if self.inside:
            (folder / self.inside).write_text("precious", encoding="utf-8")


@dataclass(frozen=True)
class Mode:
    """The permissions of a file or folder."""

    path: str
    mode: int

    def __call__(self, place: Place) -> None:
        place.path(self.path).chmod(self.mode)
