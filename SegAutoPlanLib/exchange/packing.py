"""A zip archive written file by file: the same bytes for the same content, and whole or not at all."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import StopRequested, in_sentences
from ..files import atomic_path, open_to_read
from ..progress import SILENT, Reporter

CHUNK = 4 << 20
OLDEST_TIME = (1980, 1, 1, 0, 0, 0)
"""The first that a zip archive knows; a fixed one, so that archives of the same model are alike."""
PERMISSIONS = stat.S_IFREG | 0o644
DOES_NOT_COMPRESS = (".pth", ".png", ".pdf", ".gz")
"""Weights become smaller by a tenth at most, and take the longest."""


@dataclass(frozen=True)
class Member:
    """A file for an archive."""

    name: str
    """With `/` between folders."""
    content: Callable[[], Iterable[bytes]]
    """Gives its pieces when its turn has come."""

    @classmethod
    def of_file(cls, name: str, path: Path) -> Member:
        """A file as it is on the disk."""
        return cls(name, lambda: _pieces(path))

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> Member:
        """A file that is small, and not on the disk in this form."""
        return cls(name, lambda: [content])


def write_archive(target: Path, members: Sequence[Member], reporter: Reporter = SILENT) -> None:
    """Write the members, in their order.

    Raises:
        UserInputError: a member cannot be read, or the disk is full; the target is as it was before.
        StopRequested: between two pieces, once a stop was asked for; likewise.
    """
    with (
        in_sentences(target),
        atomic_path(target, durable=True) as temporary,
        zipfile.ZipFile(temporary, "w", allowZip64=True) as archive,
    ):
        for member in reporter.track(members, "packing", "file"):
            info = zipfile.ZipInfo(member.name, OLDEST_TIME)
            info.create_system = 3  # Unix, wherever it is written
            info.external_attr = PERMISSIONS << 16
            is_packed = not member.name.endswith(DOES_NOT_COMPRESS)
            info.compress_type = zipfile.ZIP_DEFLATED if is_packed else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=not is_packed) as file:
                for piece in member.content():
                    if reporter.stop_requested():
                        raise StopRequested(f"Packing {target} was stopped; nothing is left of it.")
                    file.write(piece)


def _pieces(path: Path) -> Iterator[bytes]:
    with in_sentences(path), open(open_to_read(path), "rb") as file:
        while content := file.read(CHUNK):
            yield content
