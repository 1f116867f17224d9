"""The command line: `python -m SegAutoPlanLib VERB …`, one public function per verb.

Exit code 0; 2 if the user's input is wrong (one sentence, no traceback); 1 if the mistake is ours.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from .allocator import keep_freed_memory
from .command_line import build_parser, run_verb, speak_utf8
from .errors import UserInputError, in_sentences
from .progress import ConsoleReporter, Reporter
from .rank import rank_from_environment
from .runs import RunFolder, RunReporter, go_where_asked
from .stop_signals import hearing_stop_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb in a process that is all its own, and return the exit code.

    What holds for the whole process is set here and nowhere else: the allocator, signals, the encoding of the streams.
    Other programs call the functions of `pipeline`, which leave their process as it is.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    speak_utf8()
    options = build_parser().parse_args(arguments)
    if options.verb.runs_networks:
        keep_freed_memory()
    if options.run_folder is not None:
        go_where_asked(options.run_folder)
    try:
        with in_sentences(), _reporter(options, arguments) as reporter:
            code = run_verb(options, reporter)
            if isinstance(reporter, RunReporter):
                reporter.close(code)
    except UserInputError as error:
        # The run folder cannot be written to, or the result not be shown.
        with contextlib.suppress(OSError):
            print(f"segautoplan: {error}", file=sys.stderr, flush=True)
        return 2
    return code


@contextlib.contextmanager
def _reporter(options: argparse.Namespace, arguments: list[str]) -> Iterator[Reporter]:
    if not rank_from_environment().is_main:
        # The main process speaks for all. This one still hears signals, which torchrun sends to each.
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            follower = _StoppableConsole(nowhere)
            with hearing_stop_signals(follower.request_stop):
                yield follower
        return
    if options.run_folder is not None:
        reporter = RunReporter(options.run_folder, arguments)
        # The same request as a viewer's: all who watch see that it is stopping, and that its end was asked for.
        with hearing_stop_signals(RunFolder(options.run_folder).request_stop), reporter:
            yield reporter
        return
    console = _StoppableConsole(sys.stderr)
    with hearing_stop_signals(console.request_stop):
        yield console


class _StoppableConsole(ConsoleReporter):
    """The terminal, where Ctrl-C asks for a clean stop."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._stop = threading.Event()

    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def request_stop(self) -> None:
        self._stop.set()
        with contextlib.suppress(RuntimeError):  # the signal may have come in the midst of another line
            self.event("stopping", message="Ending cleanly; press Ctrl-C again to end at once.")


if __name__ == "__main__":
    sys.exit(main())
