"""A folder as a source of files: a model's, that of a dataset's results, or one of several datasets' results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from ..errors import FileError, in_sentences
from ..files import open_to_read
from ..models import PLANS_FILE
from ..zip_directory import DirectorySizedFile
from .layout import is_kept

CHUNK = 1 << 20
DEEPEST = 3
"""Folders below a model's, or that of its dataset."""
MOST_ENTRIES = 500_000


class FolderSource:
    """What a folder holds; `files` gives the bytes of each file by `dataset/model/name`. Nothing is read yet.

    Links are not followed: `links` names those that stand where a model's file would.

    Raises:
        UserInputError: there is no model in it.
    """

    is_archive = False

    def __init__(self, path: Path) -> None:
        self.path = path
        given = Path(os.path.abspath(path))
        with in_sentences(path):
            self._base, tops = _tops(given)
            if not tops:
                raise FileError(
                    path, "holds no model", f"choose the folder Trainer__Plans__configuration that has {PLANS_FILE}"
                )
            self.links: list[str] = []
            self.files: Mapping[str, int] = dict(
                found for top in tops for found in self._walk(top, 0 if (top / PLANS_FILE).is_file() else -1)
            )
        kept = [name for name in self.links if _may_be_kept(name)]
        if kept:
            raise FileError(
                self._base / kept[0],
                "is a link, which is not followed",
                "copy the model with files instead of links",
            )

    def __enter__(self) -> FolderSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a file, piece by piece.

        Raises:
            UserInputError: the system refuses to read it.
        """
        path = self.where(name)
        with in_sentences(path), open(open_to_read(path), "rb") as file:
            while content := file.read(CHUNK):
                yield content

    def open(self, name: str) -> DirectorySizedFile:
        """The file, open to be read.

        Raises:
            UserInputError: the system refuses to.
        """
        return DirectorySizedFile(open(open_to_read(self.where(name)), "rb"))

    def where(self, name: str) -> Path:
        """The path of a file."""
        return self._base / name

    def _walk(self, folder: Path, depth: int) -> Iterator[tuple[str, int]]:
        for count, entry in enumerate(sorted(os.scandir(folder), key=lambda entry: entry.name)):
            if count > MOST_ENTRIES:
                raise FileError(folder, "holds more files than a model has", "choose the folder of a model")
            name = Path(entry.path).relative_to(self._base).as_posix()
            if entry.is_symlink():
                self.links.append(name)
            elif entry.is_dir(follow_symlinks=False):
                if depth < DEEPEST:
                    yield from self._walk(Path(entry.path), depth + 1)
            else:
                yield name, entry.stat(follow_symlinks=False).st_size


def _tops(given: Path) -> tuple[Path, list[Path]]:
    """The folder to which names are relative, and those to walk."""
    if not given.is_dir():
        raise FileError(given, "there is no such folder", "give a model's folder or zip archive")
    if (given / PLANS_FILE).is_file():
        return given.parent.parent, [given]
    if any(_is_model(entry) for entry in given.iterdir()):
        return given.parent, [given]
    return given, [entry for entry in sorted(given.iterdir()) if _is_dataset(entry)]


def _is_model(folder: Path) -> bool:
    return folder.is_dir() and (folder / PLANS_FILE).is_file()


def _is_dataset(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and any(_is_model(entry) for entry in folder.iterdir())


def _may_be_kept(name: str) -> bool:
    _, _, in_dataset = name.partition("/")
    _, _, in_model = in_dataset.partition("/")
    return is_kept(in_dataset, of_model=False) or is_kept(in_model, of_model=True)
