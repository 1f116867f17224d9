"""The errors a user can do something about."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class UserInputError(ValueError):
    """What the user gave cannot be worked with.

    The message is one sentence that names the file or option and says what to do. The command line prints
    it and exits with 2; the panel shows it as it is. Every other exception is a bug of ours.
    """


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
