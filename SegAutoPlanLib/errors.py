"""The errors a user can do something about."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LONGEST_SENTENCE = 1500
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, which a terminal obeys, line breaks, marks that turn the direction of writing, half characters
(surrogates)."""


def printable(text: str) -> str:
    """The text on one line with nothing in it that a terminal or a window would obey; cut in the middle if very long.

    Names and messages of files may come from strangers.
    """
    if len(text) > LONGEST_SENTENCE:
        text = f"{text[: LONGEST_SENTENCE // 2]} … {text[-LONGEST_SENTENCE // 2 :]}"
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


class UserInputError(ValueError):
    """What the user gave cannot be worked with.

    The message is one sentence that names the file or option and says what to do. The command line prints
    it and exits with 2; the panel shows it as it is. Every other exception is a bug of ours.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


class FileError(UserInputError):
    """One thing that is wrong with one file, in parts, so that a report can put them into columns."""

    def __init__(self, file: Path | str, problem: str, remedy: str) -> None:
        super().__init__(f"{file}: {problem}; {remedy}.")
        self.file = Path(file)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return FileError, (self.file, self.problem, self.remedy)


class StopRequested(Exception):
    """The work was asked to stop, and did so with nothing half-written."""


DISK_FULL = ("the disk is full", "free some space or choose another workspace, then run it again")
SYSTEM_PROBLEMS = {
    errno.ENOENT: ("does not exist", "check the path"),
    errno.EACCES: (
        "access is denied",
        "give yourself the permission to it (or close the program that has it open), or choose another place",
    ),
    errno.EPERM: ("the system does not permit this", "choose another place, or change its permissions"),
    errno.EROFS: ("the disk is read-only", "choose another place"),
    errno.ENAMETOOLONG: ("the name is too long for the disk", "shorten it, or choose a place with a shorter path"),
    errno.EISDIR: ("is a folder where a file is expected", "move it away, or give another path"),
    errno.ENOTDIR: ("a part of the path is a file where a folder is expected", "move it away, or give another path"),
    errno.EEXIST: ("something else of this name is there already", "move it away, or give another path"),
    errno.ENOTEMPTY: ("is a folder that is not empty", "move it away, or give another path"),
    errno.ELOOP: ("its links lead in a circle", "correct the link"),
    errno.EMLINK: ("the disk allows no more links to this file", "choose another disk"),
    errno.EBUSY: ("is in use by another program", "close that program, then run it again"),
    errno.ENOSPC: DISK_FULL,
    errno.EFBIG: ("the disk does not take a file of this size", "choose another disk"),
    errno.EMFILE: ("too many files are open", "raise the limit of open files (ulimit -n), or use fewer workers"),
    errno.ENFILE: ("too many files are open on this computer", "close other programs, then run it again"),
    errno.EIO: ("the disk could not be read or written", "check the disk and its cable or network, then run it again"),
    errno.ENOMEM: ("there was not enough memory for it", "close other programs, then run it again"),
}
"""What went wrong, and what helps, by the system's number of the error."""
SYSTEM_PROBLEMS.update({getattr(errno, name): DISK_FULL for name in ("EDQUOT",) if hasattr(errno, name)})
OUT_OF_MEMORY = (
    "The memory of the computer or of its graphics card ran out; plan with less --gpu-memory-gb, use fewer --workers, "
    "close other programs, or use --device cpu."
)
MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "Failed to allocate memory", "bad_alloc")
"""In the messages of torch's and ITK's own errors, which are RuntimeErrors."""


def sentence_of(error: BaseException) -> str | None:
    """What the operating system refused or where the memory ran out, as a sentence; None for any other error."""
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if not isinstance(error, OSError):
        return None
    file = error.filename if error.filename is not None else error.filename2
    if error.errno in SYSTEM_PROBLEMS and (file is not None or SYSTEM_PROBLEMS[error.errno] == DISK_FULL):
        problem, remedy = SYSTEM_PROBLEMS[error.errno]
    elif file is not None:
        problem, remedy = f"the system refuses it ({error.strerror})", "check the path, or choose another place"
    else:
        return None
    return str(FileError(_readable(file), problem, remedy)) if file is not None else f"The {problem[4:]}; {remedy}."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the computer or of its graphics card ran out."""
    # torch's own type is not imported for this: it must be told without torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in MEMORY_WORDS)


@contextlib.contextmanager
def in_sentences(file: Path | None = None) -> Iterator[None]:
    """Whatever the operating system refuses in the block is a sentence.

    Args:
        file: what the block reads or writes; errors of a file that is open name none.

    Raises:
        UserInputError: instead of an OSError that names its file, and of running out of memory.
    """
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, OSError) and error.filename is None and file is not None:
            error.filename = str(file)
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise UserInputError(sentence) from error


def _readable(file: Any) -> str:
    text = file.decode("utf-8", "replace") if isinstance(file, bytes) else str(file)
    return text if len(text) <= 400 else f"{text[:200]} … {text[-150:]}"
