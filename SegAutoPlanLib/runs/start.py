"""Start long work in a process of its own that outlives its starter."""

from __future__ import annotations

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
from .run_folder import LAUNCHER_FILE, LOG_FILE, RUN_FILE, RunFolder

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

    Args:
        arguments: a verb and its arguments, as on the command line.
        runs_folder: where the run folder `<time>_<name>` is made.
        python: the interpreter (default: this one).
        environment: the environment to start from (default: this process's).

    Raises:
        UserInputError: the interpreter cannot be started.
    """
    folder = _new_folder(Path(runs_folder), name)
    arguments = [str(argument) for argument in arguments]
    description = {"name": name, "arguments": arguments, "asked_at": time.time()}
    write_json(folder / RUN_FILE, description)
    command = [python or sys.executable, "-m", "SegAutoPlanLib", *arguments, "--run-folder", str(folder)]
    with open(folder / LOG_FILE, "ab") as log:
        try:
            process = subprocess.Popen(
                command,
                env=_worker_environment(os.environ if environment is None else environment),
                stdin=subprocess.DEVNULL,
                # A file, not a pipe: a pipe would break, and the work with it, when the starter ends.
                stdout=log,
                stderr=subprocess.STDOUT,
                **_detached(),
            )
        except OSError as error:
            raise UserInputError(
                f"{command[0]}: this Python could not be started ({error}); check the installation."
            ) from error
    # A file of its own: run.json belongs to the worker from the moment it is up.
    (folder / LAUNCHER_FILE).write_text(str(process.pid), encoding="utf-8")
    return RunFolder(folder)


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
    paths = [str(PACKAGE_FOLDER), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["PYTHONUTF8"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _detached() -> dict:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
