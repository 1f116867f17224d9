"""The files of a run folder: their names, and what stands in them.

`run.json` says what was asked, who works on it and how it ended; `progress.jsonl` is append-only, one JSON object
per line; `log.txt` is the process's output; a file `STOP` asks it to end cleanly; `launcher.json` names the process
that was started, whose child the worker may be, or the one that holds the run until its warm worker is free.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..files import open_regular, read_json
from .processes import ProcessIdentity

RUN_FILE, PROGRESS_FILE, LOG_FILE, STOP_FILE = "run.json", "progress.jsonl", "log.txt", "STOP"
LAUNCHER_FILE = "launcher.json"
LOG_BYTES_PER_LINE = 1000
"""Of a log's lines as they usually are, so that the last ones are read in one piece."""
MAX_LOG_BYTES = 1_000_000
MAX_RUN_FILE_BYTES = 4 << 20


@dataclass(frozen=True)
class RunDescription:
    """What run.json says; a field that is missing or unusable is None or empty."""

    name: str = ""
    arguments: tuple[str, ...] = ()
    asked_in: str = ""
    """The folder in which it was asked: relative paths among the arguments start there."""
    worker: ProcessIdentity | None = None
    exit_code: int | None = None
    """None while it runs, and for a worker that could not say."""
    problem: str = ""
    """Why the file cannot be read, in a sentence."""


def read_description(folder: Path) -> RunDescription:
    """What run.json says; it never fails, but says what is wrong."""
    content, problem = read_object(folder / RUN_FILE)
    arguments = content.get("arguments")
    return RunDescription(
        name=_text(content.get("name")),
        arguments=tuple(map(str, arguments)) if isinstance(arguments, list) else (),
        asked_in=_text(content.get("asked_in")),
        worker=ProcessIdentity.from_json(content),
        exit_code=content["exit"] if isinstance(content.get("exit"), int) else None,
        problem=problem,
    )


def read_launcher(folder: Path) -> ProcessIdentity | None:
    """The process that was started for a run; None where nobody noted it, or it cannot be read."""
    return ProcessIdentity.from_json(read_object(folder / LAUNCHER_FILE)[0])


def read_object(path: Path) -> tuple[dict[str, Any], str]:
    """A JSON object and no problem, or an empty one and the problem in a sentence (a missing file is none)."""
    try:
        content = read_json(path, MAX_RUN_FILE_BYTES) if os.path.lexists(path) else {}
    except UserInputError as error:
        return {}, f"{error} The run's other files may still tell what happened."
    if not isinstance(content, dict):
        return {}, f"{path}: does not describe a run; the run's other files may still tell what happened."
    return content, ""


def seconds_since_change(folder: Path, now: float) -> float | None:
    """Seconds since any of the run's own files changed (the worker touches progress.jsonl); None without files."""
    times = []
    for name in (PROGRESS_FILE, RUN_FILE, LAUNCHER_FILE):
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:
            continue
    return now - max(times) if times else None


def stop_requested(folder: Path) -> bool:
    """Whether somebody asked the run to end."""
    # A link to nothing asks too: nobody is to write through it.
    return os.path.lexists(folder / STOP_FILE)


def log_end(folder: Path, lines: int) -> str:
    """The last lines of log.txt; of a long log only the end is read."""
    try:
        with open(open_regular(folder / LOG_FILE), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            length = min(size, MAX_LOG_BYTES, lines * LOG_BYTES_PER_LINE)
            file.seek(size - length)
            found = file.read(length).decode("utf-8", errors="replace").splitlines()
    except (OSError, UserInputError):
        return ""
    if length < size and len(found) > 1:  # the first may be the rest of one
        found = found[1:]
    return "\n".join(found[-lines:])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
