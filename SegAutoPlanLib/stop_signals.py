"""Signals that ask a process to end: the first one for a clean end, the second one is obeyed at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))
"""Ctrl-C; what schedulers and shutdowns send; Ctrl-Break on Windows."""


@contextlib.contextmanager
def hearing_stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the first signal calls `stop` and the second one has the system's own effect.

    Signals that the starter had this process ignore (`nohup`, a shell's background) stay ignored. Outside the main
    thread, where Python allows no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    heard = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    listener = os.getpid()

    def hear(number: int, _frame: object) -> None:
        if os.getpid() != listener:
            _end_child(number)
            return
        for other in heard:
            # The system's effect, not Python's: a long computation must not put off the end.
            signal.signal(other, signal.SIG_DFL)
        stop()

    for number in heard:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _end_child(number: int) -> None:
    # A forked helper process has inherited the handler. A terminal's Ctrl-C reaches it too, and is its parent's to
    # answer; any other signal is from the parent, which wants it to end.
    if number != signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
