"""The zip archive that torch writes a checkpoint into: its directory looked at, its records read and verified.

torch stores the records side by side and uncompressed: a pickle `data.pkl` that says what there is, and `data/KEY` for
the numbers of each tensor's storage. An archive that says anything else of itself was not written by torch.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np

from ..errors import FileError, UserInputError, sentence_of
from ..files import open_to_read
from ..schema import shown

REMEDY = "copy it again from where it is whole, or train it again"
END_OF_ZIP = 22
"""Bytes of the smallest record with which an archive ends."""
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
"""What stands before each record: signature, five fields, CRC, two sizes, lengths of name and of extra fields."""
LOCAL_SIGNATURE = b"PK\x03\x04"
MAX_DIRECTORY_BYTES = 16 << 20
"""Of 100,000 storages; a large network has 500."""
MAX_PICKLE_BYTES = 64 << 20
"""The curves of 4000 epochs with 120 classes have 20 MB."""
PICKLE = re.compile(r"(?!\.\.?/)[^/\\]+/data\.pkl")
"""In the only folder of the archive, which torch names as the file was named."""
ENCRYPTED = 0x1
DAMAGED = (
    zipfile.BadZipFile,  # no directory, or one that contradicts itself
    struct.error,  # a header that is cut off
    ValueError,  # a negative place; UnicodeDecodeError, too
    OverflowError,  # a place that no file has
    NotImplementedError,  # a version of the format that is not known
    EOFError,
)
"""What `zipfile` raises over directories that are damaged."""


class CheckpointArchive:
    """An open checkpoint; its records are those of one folder in the archive, by their names below it.

    Raises:
        UserInputError: the file is missing or no ordinary one, or its directory is not torch's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_checkpoint_file(path)
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
        reached = 0
        for record in sorted(records, key=lambda record: (record.header_offset, record.file_size)):
            if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
                raise FileError(
                    self.path, "holds compressed records, which torch never writes", "choose the checkpoint itself"
                )
            if record.flag_bits & ENCRYPTED:
                raise FileError(self.path, "is encrypted", "choose a checkpoint that is not")
            if record.filename in names or record.header_offset < reached:
                raise self.damaged("its records lie over each other")
            names.add(record.filename)
            reached = record.header_offset + LOCAL_HEADER.size + record.file_size
            if reached > end:
                raise self.damaged("its records reach beyond the file")

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


class _DirectorySizedFile(io.FileIO):
    """A file from which no more is read at once than a directory can have: `zipfile` believes what the end says."""

    def read(self, size: int | None = -1) -> bytes:
        wanted = -1 if size is None else size
        if wanted > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("the directory is too large")
        return super().read(wanted)


def open_checkpoint_file(path: Path) -> io.FileIO:
    """An ordinary file, open to be read.

    Raises:
        UserInputError: there is none, or the system refuses to open it.
    """
    missing = ("there is no such checkpoint", "train this fold or choose another checkpoint")
    return _DirectorySizedFile(open_to_read(path, missing), "rb")
