"""A text becomes a part of a path here, and nowhere else.

Names come from dataset.json, plans, checkpoints, scenes and the command line, so from strangers too. A name that is
joined to a folder must stay in it, on every system that the workspace may be carried to.
"""

from __future__ import annotations

import re
from pathlib import Path

from .errors import FileError, UserInputError
from .schema import Mismatch, shown

LONGEST_NAME = 150
"""In bytes; endings and temporary names come on top, and file systems take 255."""
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Windows opens a device under these names, whatever follows after a dot."""
ENDING = re.compile(r"(\.[A-Za-z0-9]{1,10}){1,3}")


def problem_of_name(name: object) -> str | None:
    """Why a value cannot be the name of a file or folder everywhere; None if it can."""
    if not isinstance(name, str) or not name:
        return "must be text that can be the name of a file"
    if name in (".", "..") or FORBIDDEN.search(name):
        return 'must be the name of a file, without folders and without the characters / \\ : * ? " < > |'
    if name != name.strip(" ") or name.endswith("."):
        return "must not begin or end with a blank, or end with a dot"
    if name.split(".")[0].strip().lower() in RESERVED:
        return "must not be the name of a device on Windows"
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "must not hold characters that are no text"
    return f"must have at most {LONGEST_NAME} bytes" if length > LONGEST_NAME else None


def file_name(value: object) -> None:
    """A rule (see `schema`): text that is safe as a single part of a path."""
    problem = problem_of_name(value)
    if problem is not None:
        raise Mismatch(f"{problem}, not {shown(value)}")


def file_ending(value: object) -> None:
    """A rule (see `schema`): the ending of a file's name, such as `.nii.gz`."""
    if not isinstance(value, str) or not ENDING.fullmatch(value):
        raise Mismatch(f"must be text that starts with a dot, such as .nii.gz, not {shown(value)}")


def safe_name(name: str, what: str) -> str:
    """The name, which is safe as a single part of a path.

    Args:
        what: where it comes from, to begin the sentence, e.g. `--plans`.

    Raises:
        UserInputError: it is not.
    """
    problem = problem_of_name(name)
    if problem is not None:
        raise UserInputError(f"{what}: {shown(name)} cannot be used, because it {problem}; choose another name.")
    return name


def file_below(folder: Path, relative: str, source: Path | str) -> Path:
    """The existing file that a text of `source` means below a folder.

    Raises:
        FileError: the text leads out of the folder, or to no file.
    """
    try:
        path = (folder / relative).resolve()
        inside = path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise FileError(source, f"names the file {shown(relative)}, which is not in {folder}", "correct the entry")
    return path
