"""A folder of segmentations: which of its files are `predict`'s own, and how a new one gets there.

Beside the results lies a folder `.segautoplan`, and in it one folder per part of the work (`--part K/N`), so that each
file there has one writer, on whichever computer. A result is written there, noted in the record, and only then moved to
its place: at whatever instant the process is killed, each file among the results is whole and known. What the record
does not know, or not so, is somebody else's.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, in_sentences
from ..files import remove_abandoned
from ..locks import exclusive
from ..models import SUMMARY_FILE, is_summary_file
from .results_record import Written, append_to_record, read_record

OWN_FOLDER = ".segautoplan"
RECORD_FILE, LOCK_FILE = "written.jsonl", "lock"
PART_FOLDER = re.compile(r"part_([1-9]\d{0,8})_of_([1-9]\d{0,8})")
COMPANIONS = frozenset({SUMMARY_FILE, "postprocessing.json", "postprocessing.pkl", "Thumbs.db", "desktop.ini"})
"""What evaluation, postprocessing and file managers leave beside results; hidden files are such too."""
ANOTHER_FOLDER = "give another --output folder"


@dataclass(frozen=True)
class ResultsFolder:
    """A folder of results, and the part of the work that is done here."""

    path: Path
    part: tuple[int, int] = (1, 1)
    """(K, N)."""

    @property
    def workplace(self) -> Path:
        """Where this part's results are written before they take their place."""
        return self.path / OWN_FOLDER / f"part_{self.part[0]}_of_{self.part[1]}"

    def require_apart_from(self, inputs: Iterable[Path], targets: Collection[str]) -> None:
        """Refuse a place where no result may ever go.

        Args:
            inputs: the files that are read.
            targets: the names of the files that are to be written.

        Raises:
            FileError: the folder is none, a target is a folder, or would replace what it is made from.
        """
        with in_sentences():
            if os.path.lexists(self.path) and not self.path.is_dir():
                problem = "is a link to nowhere" if self.path.is_symlink() and not self.path.exists() else "is a file"
                raise FileError(self.path, f"{problem} and not a folder for results", ANOTHER_FOLDER)
            for own in (self.path / OWN_FOLDER, self.workplace):
                if os.path.lexists(own) and (own.is_symlink() or not own.is_dir()):
                    raise FileError(own, "is a link or a file where predict keeps its record", "remove it")
            read = {_identity(file) for file in inputs}
            folders = {_identity(file.parent) for file in inputs}
            if _identity(self.path) in folders:
                raise FileError(self.path, "holds the files that are read, so no result may go there", ANOTHER_FOLDER)
            for name in targets:
                target = self.path / name
                if target.is_dir():
                    raise FileError(target, "is a folder where a result is to go", f"move it, or {ANOTHER_FOLDER}")
                if _identity(target) in read:
                    raise FileError(target, "would be replaced by what is made from it", ANOTHER_FOLDER)

    def require_own_files(
        self, targets: Collection[str], is_damaged: Callable[[str], bool], kept: Collection[str] = ()
    ) -> None:
        """Refuse a folder of somebody else's files, or with results that somebody changed and this run would replace.

        Args:
            targets: the names of the files that are to be there in the end.
            is_damaged: whether the file of a target's name is no complete one, so that nothing is lost with it.
            kept: those of them that are not replaced if they are complete.

        Raises:
            FileError: there is such a file, which is named.
        """
        files = self._files()
        known = self._known()
        strangers = [
            name
            for name in files
            if name not in known
            and not (self._is_companion(name) if name not in targets else name in kept and is_damaged(name))
        ]
        if strangers:
            more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
            believed = ", where --continue keeps complete segmentations as they are" if kept else ""
            raise FileError(
                self.path,
                f"holds files that predict did not write ({strangers[0]}{more})",
                f"{ANOTHER_FOLDER}, or use this one all the same with --overwrite{believed}",
            )
        for name in files:
            if name not in targets or name in kept:
                continue
            if not self._is_unchanged(name, known) and not is_damaged(name):
                raise FileError(
                    self.path / name,
                    "was changed after predict had written it",
                    f"{ANOTHER_FOLDER}, keep it with --continue, or replace it with --overwrite",
                )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A block in which nobody else does this part, or one that shares cases with it.

        What a killed predecessor left half-written is removed, and at the end whatever is no result.

        Raises:
            UserInputError: somebody does; the sentence says who.
        """
        with contextlib.ExitStack() as locks:
            work = f"{self.path}: predicting into this folder"
            is_alone = locks.enter_context(exclusive(self.workplace / LOCK_FILE, work))
            # Only now: of two that begin at once, at least one sees the other.
            for folder in self._overlapping():
                locks.enter_context(exclusive(folder / LOCK_FILE, work))
            remove_abandoned(self.path)
            # Where the disk cannot lock, what seems left behind may be in the making.
            if is_alone:
                self._remove_half_written()
            try:
                yield
            finally:
                if is_alone:
                    self._remove_half_written()

    def take(self, names: Sequence[str]) -> None:
        """Move files from the workplace to their places.

        Raises:
            UserInputError: the disk is full, or the system refuses; what was there stays.
        """
        with in_sentences():
            for name in names:
                append_to_record(self.workplace / RECORD_FILE, Written.of(self.workplace / name))
                os.replace(self.workplace / name, self.path / name)

    def unchanged(self, names: Iterable[str]) -> set[str]:
        """Those that are, to the last byte, as predict has written them."""
        known = self._known()
        return {name for name in names if self._is_unchanged(name, known, thoroughly=True)}

    def _files(self) -> list[str]:
        if not self.path.exists():
            return []
        with in_sentences(), os.scandir(self.path) as entries:
            return sorted(entry.name for entry in entries if not entry.is_dir())

    def _known(self) -> dict[str, list[Written]]:
        """What the records of all parts say, by name. Read after the files were listed: they are noted before."""
        known: dict[str, list[Written]] = {}
        for folder in self._parts():
            for written in read_record(folder / RECORD_FILE):
                known.setdefault(written.name, []).append(written)
        return known

    def _is_unchanged(self, name: str, known: dict[str, list[Written]], thoroughly: bool = False) -> bool:
        path = self.path / name
        try:
            status = os.lstat(path)
        except OSError:
            return False
        return any(written.is_still(path, status, thoroughly) for written in reversed(known.get(name, [])))

    def _is_companion(self, name: str) -> bool:
        return (
            name.startswith(".") or name in COMPANIONS or (name.endswith(".json") and is_summary_file(self.path / name))
        )

    def _parts(self) -> dict[Path, tuple[int, int]]:
        """Which part of the work each folder below `.segautoplan` is for."""
        try:
            names = sorted(os.listdir(self.path / OWN_FOLDER))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        matches = [match for name in names if (match := PART_FOLDER.fullmatch(name))]
        return {self.path / OWN_FOLDER / match[0]: (int(match[1]), int(match[2])) for match in matches}

    def _overlapping(self) -> list[Path]:
        """The folders of other parts that share cases with this one and whose lock is there, held or left behind."""
        number, count = self.part
        return [
            folder
            for folder, (other, others) in self._parts().items()
            if (other, others) != self.part
            and (number - other) % math.gcd(count, others) == 0
            and (folder / LOCK_FILE).exists()
        ]

    def _remove_half_written(self) -> None:
        with os.scandir(self.workplace) as entries:
            for entry in entries:
                if entry.name not in (RECORD_FILE, LOCK_FILE) and not entry.is_dir(follow_symlinks=False):
                    with contextlib.suppress(OSError):
                        os.unlink(entry)


def _identity(path: Path) -> object:
    """The same for every path of a file or folder; of one that is not there, its path."""
    try:
        status = os.stat(path)
    except OSError:
        return os.path.normcase(os.path.abspath(path))
    return status.st_dev, status.st_ino
