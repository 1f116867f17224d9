"""The names in an archive, before anything is made of them: each stays in its folder, on every system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import FileError
from ..names import problem_of_name
from ..schema import shown

REPACK = "pack the model again, with nothing but its own files"
LONGEST_PATH = 700
"""In bytes, of a name with its folders."""
DEEPEST = 12
DRIVE = re.compile("[A-Za-z]:")
JOIN = "___"
"""Between the names of models in that of an ensemble, which is as long as all of them."""


def require_safe_names(names: Iterable[str], source: Path, folders: Iterable[str] = ()) -> None:
    """Refuse names that lead out of a folder, that not every system can have, or that are one file on some.

    Args:
        names: of files, with `/` between folders.
        source: the archive, for the sentence.
        folders: names of folders that stand there for themselves.

    Raises:
        FileError: the first such name.
    """
    files: dict[str, str] = {}
    parents: dict[str, str] = {}
    for name in names:
        _require_usable(name, source)
        alike = _as_some_systems_see(name)
        if alike in files:
            again = "twice" if files[alike] == name else f"beside {shown(files[alike])}, which some systems take for it"
            raise FileError(source, f"holds {shown(name)} {again}", REPACK)
        files[alike] = name
        _require_one_spelling(name.split("/")[:-1], parents, source)
    for folder in folders:
        _require_usable(folder, source)
        _require_one_spelling(folder.split("/"), parents, source)
    both = next((name for alike, name in files.items() if alike in parents), None)
    if both is not None:
        raise FileError(source, f"holds {shown(both)} as a file and as a folder", REPACK)


def _require_usable(name: str, source: Path) -> None:
    problem = problem_of_path(name)
    if problem is not None:
        raise FileError(source, f"holds {shown(name)}, {problem}", REPACK)


def _require_one_spelling(parts: Sequence[str], parents: dict[str, str], source: Path) -> None:
    for depth in range(1, len(parts) + 1):
        folder = "/".join(parts[:depth])
        if parents.setdefault(_as_some_systems_see(folder), folder) != folder:
            raise FileError(
                source, f"holds the folder {shown(folder)} in two spellings, which some systems mix", REPACK
            )


def problem_of_path(name: str) -> str | None:
    """Why a name with folders cannot be used below a folder; None if it can."""
    if name.startswith(("/", "\\")) or DRIVE.match(name):
        return "which is an absolute path"
    parts = name.split("/")
    if ".." in parts:
        return "which leads out of its folder"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_PATH or len(parts) > DEEPEST:
        return "whose name is too long"
    for part in parts:
        for piece in part.split(JOIN) if part.startswith("ensemble" + JOIN) else (part,):
            problem = problem_of_name(piece)
            if problem is not None:
                return f"whose name cannot be used, because a part of it {problem}"
    return None


def _as_some_systems_see(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
