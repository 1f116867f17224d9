"""Doing something again and again from Qt's event loop, until it is no longer wanted."""

from __future__ import annotations

from collections.abc import Callable

import qt


class PollTimer:
    """Calls `look()` every `intervalMs` between `start` and `stop`.

    A connection to a timer keeps what it calls alive, and with it all that refers to it (a whole panel): `release`
    ends that, and is called by whoever made the timer.
    """

    def __init__(self, look: Callable[[], None], intervalMs: int) -> None:
        self._look = look
        self._timer = qt.QTimer()
        self._timer.interval = intervalMs
        self._timer.connect("timeout()", self._look)

    def start(self, intervalMs: int | None = None) -> None:
        """Look from now on, at another interval if one is given."""
        if self._timer is None:
            return
        if intervalMs is not None and intervalMs != self._timer.interval:
            self._timer.interval = intervalMs
        if not self._timer.active:
            self._timer.start()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()

    def release(self) -> None:
        """Stop for good and refer to nothing any more."""
        if self._timer is None:
            return
        self._timer.stop()
        self._timer.disconnect("timeout()", self._look)
        self._timer.deleteLater()
        self._timer = self._look = None
