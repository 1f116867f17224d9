"""One verb, done: its result or its refusal is said, and becomes the exit code."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from ..errors import StopRequested, UserInputError, in_sentences, printable
from ..progress import Reporter
from ..rank import rank_from_environment
from ..runs import RunReporter
from ..workspace import Workspace

INSTALL = {
    "torch": "torch (https://pytorch.org/get-started; in Slicer: the PyTorch extension)",
    "batchgenerators": "batchgenerators",
}


def speak_utf8() -> None:
    """For a whole process: a console in another encoding must not stop the work over a "µ" or a name."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def run_verb(options: argparse.Namespace, reporter: Reporter) -> int:
    """Do what was asked, say what came of it, and give the exit code: 0, or 2 if the user's input is wrong.

    A reporter of a run gets the last event; everybody else reads standard output.
    """
    try:
        with in_sentences():
            result = options.verb.run(Workspace.locate(options.workspace), options, reporter)
    except UserInputError as error:
        return _refuse(options, reporter, str(error))
    except ModuleNotFoundError as error:
        if error.name not in INSTALL:
            raise
        return _refuse(
            options, reporter, f"{error.name} is not installed; install {INSTALL[error.name]}, then try again."
        )
    except StopRequested as stop:
        reporter.event("stopped", message=str(stop))
        return 0
    if isinstance(reporter, RunReporter):
        reporter.event("finished", result=_strict(result.summary))
    # A run has said it already: that its log cannot be written to is no failure of it.
    unheard = contextlib.suppress(UserInputError) if isinstance(reporter, RunReporter) else contextlib.nullcontext()
    if rank_from_environment().is_main:
        with unheard:
            _show(json.dumps(_strict(result.summary)) if options.json else _each_line_printable(result.text))
    return result.exit_code


def _show(text: str) -> None:
    try:
        with in_sentences(Path("standard output")):
            print(text, flush=True)
    except UserInputError:
        # The interpreter would try it again when it ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _refuse(options: argparse.Namespace, reporter: Reporter, sentence: str) -> int:
    if isinstance(reporter, RunReporter):
        reporter.event("failed", message=sentence, hint="")
    elif options.json:
        print(json.dumps({"error": sentence}))
    else:
        print(f"segautoplan: {sentence}", file=sys.stderr)
    return 2


def _each_line_printable(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _strict(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
