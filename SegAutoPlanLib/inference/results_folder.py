"""A folder of segmentations, and which of its files `predict` has written: nothing else in it is ever replaced.

A record inside (`.segautoplan/`) tells: before a file is put in place a line says that it is begun, and afterwards a
line gives its size and time. So a file that somebody corrected since is not ours any more, and one that was in the
making when the program was killed still is.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileError, UserInputError, in_sentences
from ..files import parse_json, read_bytes, remove_abandoned
from ..locks import exclusive
from ..models import SUMMARY_FILE
from ..schema import either, problem_of, record, text, whole

RECORD_FOLDER = ".segautoplan"
COMPANIONS = (SUMMARY_FILE, "Thumbs.db", "desktop.ini")
"""What others may put beside segmentations: the evaluation of them, and what file browsers leave."""
MTIME_SLACK_NS = 2_000_000_000
"""Disks of cameras and sticks keep the time in steps of two seconds."""
MAX_RECORD_BYTES = 64 << 20
LINE = either(
    record({"begins": text()}),
    record({"wrote": text(), "bytes": whole(0), "mtime_ns": whole()}),
)
REMEDY = "choose an empty folder, or say --overwrite if its files may be replaced"


@dataclass(frozen=True)
class Stamp:
    """A file as it was when it had been written."""

    bytes: int
    mtime_ns: int

    def fits(self, found: os.stat_result) -> bool:
        return found.st_size == self.bytes and abs(found.st_mtime_ns - self.mtime_ns) <= MTIME_SLACK_NS


@contextlib.contextmanager
def results_folder(output: Path, part: tuple[int, int] = (1, 1), overwrite: bool = False) -> Iterator[ResultsFolder]:
    """The folder, which nobody else writes this part of while the block runs.

    Args:
        output: made when the first result is there; nothing is left of it if none came.
        part: (K, N): several computers may share the folder, one for each of N parts.
        overwrite: whether files that `predict` has not written may be replaced.

    Raises:
        UserInputError: the folder holds such files, cannot be written to, or somebody else writes to it.
    """
    results = ResultsFolder(Path(output), part, overwrite)
    with in_sentences():
        is_new = not results.path.exists()
        results.require_ours()
    name = f"{results.path} (part {part[0]} of {part[1]})" if part[1] > 1 else str(results.path)
    try:
        with exclusive(results.record_file.with_suffix(".lock"), f"Segmenting into {name}"):
            remove_abandoned(results.path)
            yield results
    finally:
        for folder in (results.record_file.parent, *([results.path] if is_new else [])):
            with contextlib.suppress(OSError):
                folder.rmdir()


class ResultsFolder:
    """What is ours in a folder of segmentations."""

    def __init__(self, path: Path, part: tuple[int, int], overwrite: bool) -> None:
        self.path, self._overwrite = path, overwrite
        self.record_file = path / RECORD_FOLDER / f"predictions_{part[0]}_of_{part[1]}.jsonl"
        """Of this part; the others' are read too."""
        self._written = self._read_records()

    def require_ours(self) -> None:
        """Refuse a folder with files that `predict` has not written.

        Raises:
            FileError: there are such files, and nobody said that they may be replaced.
        """
        if self.path.exists() and not self.path.is_dir():
            raise FileError(self.path, "is a file, and the segmentations need a folder", "give another --output")
        if self._overwrite or not self.path.is_dir():
            return
        strangers = sorted(name for name in os.listdir(self.path) if not self._is_ours(name))
        if strangers:
            others = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
            raise FileError(
                self.path,
                f"holds {strangers[0]}{others}, which segmenting has not written or somebody has changed since",
                REMEDY,
            )

    def require_no_input(self, inputs: Sequence[Path], names: Sequence[str]) -> None:
        """Refuse to write over, or beside, what is read.

        Raises:
            FileError: a result would replace an input file, or would lie in the folder of the inputs.
        """
        for file in inputs:
            if file.parent.resolve() == self.path.resolve():
                raise FileError(self.path, "is the folder of the images", "choose another folder for the results")
        targets = {(self.path / name).resolve() for name in names}
        replaced = [file for file in inputs if file.resolve() in targets]
        if replaced:
            raise FileError(replaced[0], "would be replaced by its own segmentation", "choose another folder")

    @contextlib.contextmanager
    def writing(self, names: Sequence[str]) -> Iterator[None]:
        """Files of these names are put in place in the block."""
        self._note(*({"begins": name} for name in names))
        yield
        written = []
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found = (self.path / name).stat()
                written.append({"wrote": name, "bytes": found.st_size, "mtime_ns": found.st_mtime_ns})
        self._note(*written)

    def _note(self, *lines: dict[str, Any]) -> None:
        with in_sentences():
            self.record_file.parent.mkdir(parents=True, exist_ok=True)
            with open(self.record_file, "a", encoding="utf-8") as file:
                file.write("".join(f"{json.dumps(line)}\n" for line in lines))

    def _is_ours(self, name: str) -> bool:
        # What begins with a dot belongs to somebody's tools, our own record and unfinished files among them.
        if name.startswith(".") or name in COMPANIONS:
            return True
        if name not in self._written:
            return False
        stamp = self._written[name]
        return stamp is None or stamp.fits((self.path / name).stat())

    def _read_records(self) -> dict[str, Stamp | None]:
        """By name; None for what was begun and perhaps not finished."""
        written: dict[str, Stamp | None] = {}
        for file in sorted(self.path.glob(f"{RECORD_FOLDER}/predictions_*.jsonl")):
            for line in read_bytes(file, MAX_RECORD_BYTES).splitlines():
                entry = _entry(line, file)
                if "begins" in entry:
                    written[entry["begins"]] = None
                elif "wrote" in entry:
                    written[entry["wrote"]] = Stamp(entry["bytes"], entry["mtime_ns"])
        return written


def _entry(line: bytes, file: Path) -> dict[str, Any]:
    # A line that a kill has cut off says nothing.
    try:
        entry = parse_json(line, file)
    except UserInputError:
        return {}
    return entry if problem_of(LINE, entry) is None else {}
