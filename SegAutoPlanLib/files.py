"""Reading only what is a file of a sane size, and writing so that a kill leaves the previous good file."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .errors import FileError, UserInputError, sentence_of

MAX_JSON_BYTES = 256 << 20
"""A summary of 10,000 cases with 60 labels has 150 MB."""
MAX_DEPTH = 60
"""Of lists and objects in each other; nnU-Net's files reach 6."""
MAX_DIGITS = 25
TEMPORARY_PREFIX = ".writing_"
TEMPORARY_NAME = re.compile(rf"{re.escape(TEMPORARY_PREFIX)}[0-9a-f]{{32}}(\.\w+)*")
READ_BYTES = 1 << 20
ABANDONED_S = 3600.0
"""Nobody takes so long to write one file."""


@contextlib.contextmanager
def atomic_path(target: Path | str, suffix: str | None = None, durable: bool = False) -> Iterator[Path]:
    """A temporary path beside `target` to write to; it takes the target's place when the block succeeds.

    On any error the temporary file is removed and the target is as it was.

    Args:
        suffix: for writers that choose the format by the ending (default: the target's own, `.nii.gz` included).
        durable: whether to wait until the disk has the file, so that a power loss, too, leaves it or the former one.

    Raises:
        UserInputError: the system refuses to write there (the disk is full, the folder is read-only …).
    """
    target = Path(target)
    if suffix is None:
        suffix = ".nii.gz" if target.name.lower().endswith(".nii.gz") else target.suffix
    # Not of tempfile, whose files are private to their owner: a shared workspace expects ordinary permissions.
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}{suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        if durable:
            _flush(temporary, os.O_RDWR)
        os.replace(temporary, target)
        if durable:
            _flush_folder(target.parent)
    except OSError as error:
        # The sentence is to name the file that the user knows, not the temporary one.
        if error.filename is None or Path(os.fsdecode(error.filename)).name == temporary.name:
            error.filename = str(target)
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise UserInputError(sentence) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    # The new name of a file is the folder's to keep. Windows opens no folders, and some network disks flush none.
    if os.name == "posix":
        with contextlib.suppress(OSError):
            _flush(folder, os.O_RDONLY)


def remove_abandoned(folder: Path, is_alone: bool = False) -> None:
    """Remove the temporary files that a writer left who was killed: only ours, and only those so old that he is gone.

    Args:
        is_alone: whether nobody else can be writing there, because the caller holds the lock of the folder.
    """
    older_than_s = 0.0 if is_alone else ABANDONED_S
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            with contextlib.suppress(OSError):
                is_ours = TEMPORARY_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
                if is_ours and time.time() - entry.stat(follow_symlinks=False).st_mtime >= older_than_s:
                    os.unlink(entry.path)


def write_json(target: Path | str, content: Any, sort_keys: bool = False) -> None:
    """Write JSON as nnU-Net does (indent 4), atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(json.dumps(content, indent=4, sort_keys=sort_keys), encoding="utf-8")


def open_regular(path: Path | str) -> int:
    """A file descriptor to read an ordinary file; whoever calls this closes it.

    A pipe would wait for a writer for ever, and a device may never end.

    Raises:
        FileError: the path is something else than a file.
        OSError: it cannot be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    what = "folder" if stat.S_ISDIR(kind) else "pipe, device or socket"
    raise FileError(path, f"is a {what} and not a file", "give a file, or replace it")


def open_to_read(
    path: Path | str, missing: tuple[str, str] = ("the file does not exist", "check the folder that was given")
) -> int:
    """As `open_regular`, with every refusal of the system as a sentence.

    Args:
        missing: problem and remedy where there is no such file.

    Raises:
        UserInputError: it is missing, is no ordinary file, or the system refuses to open it.
    """
    try:
        return open_regular(path)
    except FileNotFoundError:
        raise FileError(path, *missing) from None
    except OSError as error:
        error.filename = str(path)
        raise UserInputError(sentence_of(error)) from error
    except ValueError as error:
        if isinstance(error, UserInputError):
            raise
        raise FileError(repr(str(path)), "cannot be the name of a file", "correct it") from error


def read_bytes(path: Path | str, most_bytes: int) -> bytes:
    """The content of an ordinary file that is not larger than it can sensibly be.

    Raises:
        FileError: it is missing, is no ordinary file, is larger, or the system refuses to read it.
    """
    descriptor = open_to_read(path)
    try:
        with open(descriptor, "rb") as file:
            content = _at_most(most_bytes, file) if os.fstat(descriptor).st_size <= most_bytes else None
    except OSError as error:
        error.filename = str(path)
        raise UserInputError(sentence_of(error)) from error
    if content is None or len(content) > most_bytes:
        most = f"{most_bytes >> 20} MB" if most_bytes >> 20 else f"{most_bytes >> 10} kB"
        raise FileError(path, f"is larger than such a file can be ({most})", "replace it by the right file")
    return content


def _at_most(most_bytes: int, file: IO[bytes]) -> bytes:
    # Piece by piece: asked for all at once, the reader would first make room for as much as there may be.
    content = bytearray()
    while len(content) <= most_bytes and (piece := file.read(READ_BYTES)):
        content += piece
    return bytes(content)


def read_json(path: Path | str, most_bytes: int = MAX_JSON_BYTES) -> Any:
    """The content of a JSON file; the one gate through which every JSON file comes in.

    NaN and Infinity, which are not JSON, are let through: nnU-Net writes them.

    Raises:
        UserInputError: the file is missing, is no ordinary file, is too large, is not UTF-8 or not JSON, repeats a key,
            is nested absurdly, or holds numbers that no field can have; the sentence names it.
    """
    return parse_json(read_bytes(path, most_bytes), path)


def parse_json(content: bytes, source: Path | str) -> Any:
    """The content of a JSON text; `source` is what error messages call it. See `read_json`.

    Raises:
        FileError: it is not JSON that can be used.
    """
    try:
        # Editors on Windows put a byte order mark before it.
        text = content.decode("utf-8-sig")
        document = _DECODER.decode(text)
        _require_shallow(document)
        if "\\u" in text:
            _require_characters(document)
    except UnicodeDecodeError as error:
        raise FileError(
            source, f"is not UTF-8 text ({error.reason})", "save it as UTF-8, or replace the file"
        ) from None
    except RecursionError:
        raise FileError(source, "is nested too deeply to be read", "correct or replace the file") from None
    except ValueError as error:
        raise FileError(source, f"is not valid JSON ({error})", "correct or replace the file") from None
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f'"{twice[:60]}" stands there twice')
    return document


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _fraction(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction)


def _require_shallow(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [part for whole in level for part in _parts(whole) if isinstance(part, dict | list)]
        if not level:
            return
    raise RecursionError


def _parts(whole: Any) -> Any:
    if isinstance(whole, dict):
        return whole.values()
    return whole if isinstance(whole, list) else ()


def _require_characters(document: Any) -> None:
    """Half characters cannot be written again, and no name or path may hold a zero character."""
    try:
        text = json.dumps(document, ensure_ascii=False)
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate)") from None
    if "\\u0000" in text:
        raise ValueError("it holds a zero character")
