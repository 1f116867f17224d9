"""A process that does one run after the other, as they are ordered; who orders is in warm_worker.py.

Orders are lines of JSON, `{"run_folder": FOLDER, "arguments": [VERB, …]}`. What is said goes into the run folders, as
from a process that was started for each.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..allocator import give_back_freed_memory
from ..errors import UserInputError, in_sentences
from ..stop_signals import hearing_stop_signals
from .run_files import LOG_FILE
from .run_reporter import RunReporter

END_PATIENCE_S = 3.0
"""How long a run may take to end cleanly once nobody is there who asked for it."""
ORPHANED = "The program that asked for it was closed."


@dataclass(frozen=True)
class Order:
    """One run to be done."""

    folder: Path
    arguments: tuple[str, ...]


class Orders:
    """The lines of a stream as they come, read by a thread: an end is noticed in the midst of work, too."""

    def __init__(self, stream: IO[str], at_end: Callable[[], None] = lambda: None) -> None:
        """`at_end` is called in that thread when there are no more lines."""
        self.ended = threading.Event()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stream, self._at_end = stream, at_end
        threading.Thread(target=self._read, daemon=True, name="orders").start()

    def next(self, timeout_s: float) -> Order | None:
        """The next one; None when there will be no more, or none came for so long."""
        try:
            line = None if self.ended.is_set() else self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if line is None:
            return None
        order = json.loads(line)
        return Order(Path(order["run_folder"]), tuple(order["arguments"]))

    def end(self) -> None:
        """Take no more of them."""
        self.ended.set()
        self._lines.put(None)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            for line in self._stream:
                self._lines.put(line)
        self.end()
        self._at_end()


class ServingReporter(RunReporter):
    """That of a run whose process goes on after it, and which is not wanted any more when the orders end."""

    def __init__(self, order: Order, orders: Orders) -> None:
        super().__init__(order.folder, list(order.arguments))
        self._orders = orders

    def stop_requested(self) -> bool:
        return self._orders.ended.is_set() or super().stop_requested()

    def event(self, event: str, /, **fields: Any) -> None:
        if event == "stopped" and not super().stop_requested():
            fields["message"] = ORPHANED
        super().event(event, **fields)


class Server:
    """Does the runs that are ordered, until there are no more orders.

    Args:
        stream: where the orders come from.
        idle_s: how long to wait for one.
        work: does one run with the reporter of its folder and returns the exit code.
    """

    def __init__(self, stream: IO[str], idle_s: float, work: Callable[[Order, RunReporter], int]) -> None:
        self._idle_s, self._work = idle_s, work
        self._reporter: RunReporter | None = None
        self._orders = Orders(stream, self._end_soon)

    def serve(self) -> None:
        """Do them. An error that is no sentence for the user leaves it, told in the run folder, and its traceback in
        the run's log."""
        while (order := self._orders.next(self._idle_s)) is not None:
            _send_output_to(order.folder / LOG_FILE)
            self._do(order)
            _send_output_to(Path(os.devnull))
            give_back_freed_memory()

    def _do(self, order: Order) -> None:
        try:
            with in_sentences(), hearing_stop_signals(self._orders.end), self._reporter_of(order) as reporter:
                reporter.close(self._work(order, reporter))
        except UserInputError as error:  # the run folder cannot be written to
            print(f"segautoplan: {error}", file=sys.stderr, flush=True)
        finally:
            self._reporter = None

    def _reporter_of(self, order: Order) -> RunReporter:
        self._reporter = ServingReporter(order, self._orders)
        return self._reporter

    def _end_soon(self) -> None:
        time.sleep(END_PATIENCE_S)
        reporter = self._reporter
        if reporter is not None:
            reporter.event("stopped", message=ORPHANED)
            reporter.close(1)
        os._exit(1)


def _send_output_to(path: Path) -> None:
    # By the numbers of the streams: libraries that are not written in Python write to them, too.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    with contextlib.suppress(OSError), open(path, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
