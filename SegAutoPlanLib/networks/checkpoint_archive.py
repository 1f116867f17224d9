"""The zip archive that torch writes a checkpoint into: its directory looked at, its records read and verified.

torch stores the records side by side and uncompressed: a pickle `data.pkl` that says what there is, and `data/KEY` for
the numbers of each tensor's storage. An archive that says anything else of itself was not written by torch.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np

from ..errors import FileError, UserInputError, sentence_of
from ..files import open_to_read
from ..schema import shown
from ..zip_directory import DAMAGED, ENCRYPTED, LOCAL_HEADER, DirectorySizedFile, overlapping

REMEDY = "copy it again from where it is whole, or train it again"
END_OF_ZIP = 22
"""Bytes of the smallest record with which an archive ends."""
LOCAL_SIGNATURE = b"PK\x03\x04"
MAX_PICKLE_BYTES = 64 << 20
"""The curves of 4000 epochs with 120 classes have 20 MB."""
PICKLE = re.compile(r"(?!\.\.?/)[^/\\]+/data\.pkl")
"""In the only folder of the archive, which torch names as the file was named."""
Opens = Callable[[Path], DirectorySizedFile]
"""Gives the open file of a checkpoint, which may lie in an archive itself; the path is its name in sentences."""


class CheckpointArchive:
    """An open checkpoint; its records are those of one folder in the archive, by their names below it.

    Args:
        path: the file, or what to call it.
        opens: opens it.

    Raises:
        UserInputError: the file is missing or no ordinary one, or its directory is not torch's.
    """

    def __init__(self, path: Path, opens: Opens | None = None) -> None:
        self.path = path
        self._file = (opens or open_checkpoint_file)(path)
        try:
            self._records = self._read_directory()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> CheckpointArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def size_of(self, name: str) -> int | None:
        """Bytes of a record; None if there is no such record."""
        record = self._records.get(name)
        return None if record is None else record.file_size

    def read(self, name: str) -> np.ndarray:
        """The bytes of a record that is there, uint8, which are those that were written (by their CRC).

        Raises:
            UserInputError: they are not, or there is no memory for them.
        """
        record = self._records[name]
        try:
            start = self._start_of(record)
            content = np.empty(record.file_size, np.uint8)
            self._file.seek(start)
            view, done = memoryview(content), 0
            while done < len(view) and (count := self._file.readinto(view[done:])):
                done += count
        except (OSError, MemoryError) as error:
            raise self._unreadable(error) from error
        if done != record.file_size or zlib.crc32(content) != record.CRC:
            raise self.damaged(f"its record {shown(name)} is not what was written")
        return content

    def damaged(self, problem: str) -> FileError:
        """The error of an archive that is not what was written."""
        return FileError(self.path, f"is damaged ({problem})", REMEDY)

    def _read_directory(self) -> dict[str, zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self._file) as archive:
                records, end = archive.infolist(), archive.start_dir
        except DAMAGED:
            raise self.damaged("its directory of records cannot be read") from None
        except (OSError, MemoryError) as error:
            raise self._unreadable(error) from error
        self._require_plain(records, end)
        pickles = [record.filename for record in records if PICKLE.fullmatch(record.filename)]
        if len(pickles) != 1:
            raise FileError(
                self.path, "is no checkpoint of torch", "choose a checkpoint written by SegAutoPlan or nnU-Net"
            )
        root = pickles[0].removesuffix("data.pkl")
        below = {record.filename.removeprefix(root): record for record in records if record.filename.startswith(root)}
        if below["data.pkl"].file_size > MAX_PICKLE_BYTES:
            raise self.damaged(f"what it says beside the weights has more than {MAX_PICKLE_BYTES >> 20} MB")
        return below

    def _require_plain(self, records: list[zipfile.ZipInfo], end: int) -> None:
        """Stored as they are, each once and side by side before the directory."""
        names: set[str] = set()
        for record in records:
            if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
                raise FileError(
                    self.path, "holds compressed records, which torch never writes", "choose the checkpoint itself"
                )
            if record.flag_bits & ENCRYPTED:
                raise FileError(self.path, "is encrypted", "choose a checkpoint that is not")
            if record.filename in names:
                raise self.damaged("its records lie over each other")
            names.add(record.filename)
        if (problem := overlapping(records, end)) is not None:
            raise self.damaged(problem)

    def _start_of(self, record: zipfile.ZipInfo) -> int:
        self._file.seek(record.header_offset)
        header = self._file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_SIGNATURE):
            raise self.damaged(f"its record {shown(record.filename)} is not where it should be")
        *_, name, extra = LOCAL_HEADER.unpack(header)
        return record.header_offset + LOCAL_HEADER.size + name + extra

    def _unreadable(self, error: OSError | MemoryError) -> UserInputError:
        if isinstance(error, OSError):
            error.filename = str(self.path)
        return UserInputError(sentence_of(error))


def open_checkpoint_file(path: Path) -> DirectorySizedFile:
    """An ordinary file, open to be read.

    Raises:
        UserInputError: there is none, or the system refuses to open it.
    """
    missing = ("there is no such checkpoint", "train this fold or choose another checkpoint")
    return DirectorySizedFile(open(open_to_read(path, missing), "rb", buffering=0))
