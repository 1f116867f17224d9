"""The warm engine's process: one prediction after the other, with the model kept in memory between them.

Not for people: `runs/warm_worker.py` starts it as `python -m SegAutoPlanLib.serve` and writes its orders to its
standard input. It ends when that does, that is when its starter has closed the pipe or is no more, however that came;
when it has waited too long for an order; and after a mistake of ours, whatever state that left.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import IO

from .allocator import keep_freed_memory
from .command_line import build_parser, run_verb, speak_utf8
from .pipeline.kept_model import KeptModel
from .runs import RunReporter, go_where_asked
from .runs.processes import RUN_FOLDER_OPTION, RUNS_FOLDER_OPTION
from .runs.run_files import log_end
from .runs.server import Order, Server


def run_order(order: Order, reporter: RunReporter, kept: KeptModel) -> int:
    """What the command line does with the same arguments in a process of its own, but for the model, which stays."""
    try:
        options = build_parser().parse_args([*order.arguments, RUN_FOLDER_OPTION, str(order.folder)])
    except SystemExit:  # the parser has told the log
        reporter.event("failed", message=log_end(order.folder, 1), hint="")
        return 2
    options.kept = kept
    go_where_asked(order.folder)
    return run_verb(options, reporter)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the orders that come through standard input."""
    parser = argparse.ArgumentParser(prog="python -m SegAutoPlanLib.serve", description=__doc__)
    parser.add_argument(RUNS_FOLDER_OPTION, required=True, metavar="DIR", help="where the run folders are")
    parser.add_argument("--idle-seconds", type=float, required=True, metavar="S", help="how long to wait for an order")
    options = parser.parse_args(arguments)
    speak_utf8()
    keep_freed_memory()
    kept = KeptModel()
    Server(_standard_input(), options.idle_seconds, lambda order, reporter: run_order(order, reporter, kept)).serve()
    return 0


def _standard_input() -> IO[str]:
    # For the orders alone: nobody else shall wait for it, or inherit it.
    own = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    return open(own, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
