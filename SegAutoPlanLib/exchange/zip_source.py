"""A zip archive as a source of files: looked at whole before anything is taken from it, and inflated with care.

| limit | |
|---|---|
| files | `MOST_FILES` |
| bytes, all together and unpacked | `MOST_BYTES`; an import wants them free on the disk, too |
| how far something inflates | `MOST_INFLATED` times, beyond `FREELY_INFLATED` bytes |

The sizes that the archive states are compared with these first; while inflating they are counted again.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from ..errors import FileError, UserInputError, sentence_of
from ..files import open_to_read
from ..schema import shown
from ..zip_directory import DAMAGED, ENCRYPTED, DirectorySizedFile, overlapping
from .layout import reason_to_leave_out
from .member_file import MemberFile
from .member_names import REPACK, require_safe_names

MOST_FILES = 50_000
MOST_BYTES = 200 << 30
"""Twenty trained folds of the largest network have 50 GB."""
MOST_INFLATED = 100
FREELY_INFLATED = 10 << 20
"""Small files may be as repetitive as they like; weights do not compress by more than a tenth."""
CHUNK = 1 << 20
AGAIN = "copy or download it again"
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ODD_FLAGS = ENCRYPTED | 0x20 | 0x40 | 0x2000
"""Encrypted, patched, strongly encrypted, masked."""


class ZipSource:
    """An open zip archive; `files` gives the bytes of each file by its name.

    Raises:
        UserInputError: it is missing, damaged, or not one that is safe to unpack.
    """

    is_archive = True

    def __init__(self, path: Path) -> None:
        self.path = path
        missing = ("there is no such file", "give a model's folder or zip archive")
        self._file = DirectorySizedFile(open(open_to_read(path, missing), "rb"))  # noqa: SIM115 - closed with this
        try:
            self._records = self._read_directory()
        except BaseException:
            self._file.close()
            raise
        self.files: Mapping[str, int] = {name: record.file_size for name, record in self._records.items()}

    def __enter__(self) -> ZipSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()
        self._file.close()

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a file, piece by piece; its checksum has been compared when the last one was given.

        Raises:
            UserInputError: it is damaged, or larger than the archive states.
        """
        record, done = self._records[name], 0
        try:
            with self._archive.open(record) as member:
                while content := member.read(CHUNK):
                    done += len(content)
                    if done > record.file_size:
                        break
                    yield content
        except (*DAMAGED, zlib.error) as error:
            if isinstance(error, UserInputError):
                raise
            raise self._damaged(name) from None
        except OSError as error:
            error.filename = str(self.path)
            raise UserInputError(sentence_of(error)) from error
        if done != record.file_size:
            raise self._damaged(name)

    def open(self, name: str) -> DirectorySizedFile:
        """A file to seek in; nothing is unpacked to the disk, and little of it is held.

        Raises:
            UserInputError: it is damaged.
        """
        record = self._records[name]
        return DirectorySizedFile(io.BufferedReader(MemberFile(record.file_size, lambda: self.chunks(name))))

    def where(self, name: str) -> Path:
        """What to call a file in a sentence."""
        return self.path / name

    def _damaged(self, name: str) -> FileError:
        return FileError(self.path, f"is damaged ({shown(name)} is not what was packed)", AGAIN)

    def _read_directory(self) -> dict[str, zipfile.ZipInfo]:
        head = self._file.read(4)
        if not head.startswith(b"PK"):
            raise FileError(self.path, "is no zip archive", "give a model's folder, or the zip archive of one")
        try:
            self._archive = zipfile.ZipFile(self._file)
            records, end = self._archive.infolist(), self._archive.start_dir
        except DAMAGED:
            raise FileError(self.path, "is damaged (its list of files cannot be read)", AGAIN) from None
        except (OSError, MemoryError) as error:
            if isinstance(error, OSError):
                error.filename = str(self.path)
            raise UserInputError(sentence_of(error)) from error
        if (problem := overlapping(records, end)) is not None:
            raise FileError(self.path, f"is damaged or forged ({problem})", AGAIN)
        if len(records) > MOST_FILES:
            raise FileError(self.path, f"holds {len(records):,} files, more than a model has", REPACK)
        for record in records:
            self._require_plain(record)
        named = [record for record in records if not record.is_dir()]
        taken = [record for record in named if reason_to_leave_out(record.filename) is None]
        folders = (record.filename[:-1] for record in records if record.is_dir())
        require_safe_names((record.filename for record in named), self.path, folders)
        self._require_bounded(taken)
        return {record.filename: record for record in named}

    def _require_plain(self, record: zipfile.ZipInfo) -> None:
        name, kind = record.orig_filename, stat.S_IFMT(record.external_attr >> 16)
        said = shown(name)
        if "\0" in name or "\\" in name:
            problem = f"holds {said}, whose name cannot be used, because it has a character that no name has"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "no ordinary file"
            problem = f"holds {said}, which is {what}"
        elif record.flag_bits & ODD_FLAGS:
            problem = f"is encrypted ({said})"
        elif record.compress_type not in PACKED:
            problem = f"holds {said}, which is packed in an unusual way (method {record.compress_type})"
        elif record.is_dir() and record.file_size:
            problem = f"holds {said}, which is a folder with content"
        elif name.lower().endswith((".zip", ".tar", ".gz", ".7z", ".rar", ".whl")) and not name.endswith(".nii.gz"):
            problem = f"holds another archive ({said})"
        else:
            return
        raise FileError(self.path, problem, REPACK)

    def _require_bounded(self, records: list[zipfile.ZipInfo]) -> None:
        total = sum(record.file_size for record in records)
        if total > MOST_BYTES:
            raise FileError(
                self.path, f"would unpack to {total >> 30:,} GB, more than any model ({MOST_BYTES >> 30} GB)", REPACK
            )
        for record in records:
            if record.file_size > max(FREELY_INFLATED, MOST_INFLATED * record.compress_size):
                raise FileError(
                    self.path,
                    f"holds {shown(record.filename)}, which would inflate {MOST_INFLATED}-fold or more to "
                    f"{record.file_size >> 20:,} MB, as no model does",
                    "do not unpack it; ask whoever made it for another",
                )
