"""Start long work in a process of its own that outlives its starter."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ..errors import UserInputError
from ..files import write_json
from .processes import RUN_FOLDER_OPTION, ProcessIdentity
from .run_files import LAUNCHER_FILE, LOG_FILE, RUN_FILE, read_description
from .run_folder import RunFolder
from .run_reporter import append_event

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
"""The folder that holds SegAutoPlanLib, wherever it is installed or checked out."""


def start_run(
    arguments: Sequence[str],
    runs_folder: Path | str,
    name: str,
    python: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> RunFolder:
    """Start `python -m SegAutoPlanLib ARGUMENTS` detached and return its run folder at once.

    The process begins in its run folder, which is there and writable and holds no module that Python could take for
    one of its own; then it goes where it was asked (`go_where_asked`), so that relative paths mean what they say.

    Args:
        arguments: a verb and its arguments, as on the command line.
        runs_folder: where the run folder `<time>_<name>` is made.
        python: the interpreter (default: this one).
        environment: the environment to start from (default: this process's).

    Raises:
        UserInputError: the interpreter cannot be started.
    """
    run = new_run(arguments, runs_folder, name)
    start_alone(run, python, environment)
    return run


def new_run(arguments: Sequence[str], runs_folder: Path | str, name: str) -> RunFolder:
    """A run folder that says what is asked, for whoever will work on it."""
    folder = _new_folder(Path(runs_folder), name)
    asked = {"name": name, "arguments": [str(argument) for argument in arguments]}
    write_json(folder / RUN_FILE, {**asked, "asked_at": time.time(), "asked_in": _here()})
    return RunFolder(folder)


def start_alone(run: RunFolder, python: str | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Have a process of its own do what a new run asks; see `start_run`.

    Raises:
        UserInputError: the interpreter cannot be started; the run says so too.
    """
    folder = run.path
    arguments = ["SegAutoPlanLib", *run.description().arguments, RUN_FOLDER_OPTION, str(folder)]
    process = start_module(arguments, folder, python, environment)
    # A file of its own: run.json belongs to the worker from the moment it is up.
    write_json(folder / LAUNCHER_FILE, ProcessIdentity.of(process.pid, str(folder)).to_json())


def start_module(
    arguments: Sequence[str],
    folder: Path,
    python: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen:
    """Start `python -m ARGUMENTS` detached, with a run folder as its first place and its log as its output.

    Raises:
        UserInputError: the interpreter cannot be started; the run says so too.
    """
    command = [_program(python), "-m", *arguments]
    with open(folder / LOG_FILE, "ab") as log:
        try:
            return subprocess.Popen(
                command,
                env=_worker_environment(os.environ if environment is None else environment),
                cwd=folder,
                stdin=stdin,
                # A file, not a pipe: a pipe would break, and the work with it, when the starter ends.
                stdout=log,
                stderr=subprocess.STDOUT,
                **_detached(),
            )
        except OSError as error:
            sentence = f"{command[0]}: this Python could not be started ({error}); check the installation."
            append_event(folder, "failed", message=sentence, hint="")
            raise UserInputError(sentence) from error


def go_where_asked(folder: Path | str) -> None:
    """For a worker: change to the folder in which its run was asked for, if that is known and still there."""
    asked_in = read_description(Path(folder)).asked_in
    # Given in a shell, the run folder may itself be relative to where the worker is now.
    if asked_in and Path(folder).is_absolute():
        with contextlib.suppress(OSError):
            os.chdir(asked_in)


def _program(python: str | None) -> str:
    # A relative path would be looked for in the run folder; a bare name is looked for in the system's path.
    given = python or sys.executable
    return os.path.abspath(given) if os.path.dirname(given) else given


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was deleted meanwhile
        return ""


def _new_folder(runs_folder: Path, name: str) -> Path:
    runs_folder = runs_folder.resolve()
    safe_name = re.sub(r"[^\w.-]+", "-", name)
    stem = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{safe_name}"
    for attempt in range(1000):
        folder = runs_folder / (stem if attempt == 0 else f"{stem}-{attempt + 1}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise UserInputError(f"{runs_folder}: holds a thousand runs named {stem}; remove old ones.")


def _worker_environment(base: Mapping[str, str]) -> dict[str, str]:
    environment = dict(base)
    paths = [str(PACKAGE_FOLDER), *environment.get("PYTHONPATH", "").split(os.pathsep)]
    environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths if path)
    environment["PYTHONUTF8"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _detached() -> dict:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
