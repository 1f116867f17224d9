"""How long work tells how far it is, and learns that it should stop."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, fields
from typing import IO, Any, TypeVar

from .errors import StopRequested, printable

Item = TypeVar("Item")

SECONDS_BETWEEN_PARTS = 1.0
"""At least, between two events about the parts of one item: they go by quickly."""
QUIET_S = 30.0
"""How long a log may go without a line while there is progress."""


class Reporter:
    """A listener to long work; this base class is the silent one.

    Subclasses override `event` (what happens with what is said) and `stop_requested` (whether to go on).
    """

    def event(self, event: str, /, **fields: Any) -> None:
        """Take one event; the names and fields are those of `progress.jsonl` (see runs/run_state.py)."""

    def stop_requested(self) -> bool:
        return False

    def progress(self, stage: str, done: int, total: int, unit: str, started: float) -> None:
        """Say that `done` of `total` are finished, with the time left at the pace since `started` (monotonic)."""
        elapsed = time.monotonic() - started
        eta = elapsed / done * (total - done) if done else None
        self.event(
            "progress",
            stage=stage,
            done=done,
            total=total,
            unit=unit,
            eta_s=None if eta is None else round(eta, 1),
        )

    def track(self, items: Iterable[Item], stage: str, unit: str = "case", total: int | None = None) -> Iterator[Item]:
        """Yield the items one by one, reporting after each.

        Raises:
            StopRequested: between two items, once a stop was asked for.
        """
        if total is None:
            if not isinstance(items, Sized):
                raise TypeError("track() needs a total for an iterable without a length")
            total = len(items)
        started = time.monotonic()
        self.progress(stage, 0, total, unit, started)
        for done, item in enumerate(items, start=1):
            if self.stop_requested():
                raise StopRequested(f"{stage} was stopped after {done - 1} of {total} {unit}s.")
            yield item
            self.progress(stage, done, total, unit, started)

    def track_parts(self, items: Sequence[Item], stage: str, unit: str = "case") -> Iterator[tuple[Item, Reporter]]:
        """Yield each item with the reporter for the work on it; see `track`.

        What that work says of its own progress is shown within the item's, as the event's field `inner`.
        """
        started = time.monotonic()
        for done, item in enumerate(self.track(items, stage, unit)):
            yield item, _PartReporter(self, stage, done, len(items), unit, started)


class _PartReporter(Reporter):
    """Listens to the work on one item of many."""

    def __init__(self, whole: Reporter, stage: str, done: int, total: int, unit: str, started: float) -> None:
        self.stop_requested = whole.stop_requested
        self._whole = whole
        self._item = {"stage": stage, "done": done, "total": total, "unit": unit}
        self._started = self._last = started

    def event(self, event: str, /, **fields: Any) -> None:
        if event != "progress":
            self._whole.event(event, **fields)
            return
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_PARTS:
            return
        self._last = now
        done = self._item["done"] + fields["done"] / max(fields["total"], 1)
        eta = (now - self._started) / done * (self._item["total"] - done) if done else None
        inner = {name: fields[name] for name in self._item}
        self._whole.event("progress", **self._item, eta_s=None if eta is None else round(eta, 1), inner=inner)


SILENT = Reporter()


@dataclass(frozen=True)
class Progress:
    """How far a stage of the work is."""

    stage: str
    done: int
    total: int
    unit: str
    eta_s: float | None
    """Seconds left at the pace so far; None where that is not known yet."""


class CallbackReporter(Reporter):
    """Functions of one's own as a listener.

    Args:
        on_progress: called with each `Progress`, from the thread that does the work.
        should_stop: asked often, from several threads; once it says True the work ends with `StopRequested`, within the
            time of one tile.
    """

    def __init__(
        self,
        on_progress: Callable[[Progress], object] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self._on_progress, self._should_stop = on_progress, should_stop

    def event(self, event: str, /, **said: Any) -> None:
        if event == "progress" and self._on_progress is not None:
            self._on_progress(Progress(**{field.name: said[field.name] for field in fields(Progress)}))

    def stop_requested(self) -> bool:
        return self._should_stop is not None and bool(self._should_stop())


def duration_in_words(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def event_in_words(event: str, fields: dict[str, Any]) -> str | None:
    """One line for a person; None for events that need no line of their own (plain progress)."""
    if event == "epoch":
        dice = ", ".join(map(_figure, fields.get("dice") or [None]))
        losses = " / ".join(_figure(fields.get(name)) for name in ("train_loss", "val_loss"))
        seconds = fields.get("seconds")
        return (
            f"epoch {fields['epoch']}/{fields.get('epochs') or '-'}  loss {losses}  Dice {dice}"
            f"  {'-' if seconds is None else duration_in_words(seconds)}"
        )
    if event == "checkpoint":
        return None
    if event == "progress":
        return None
    if "message" in fields:
        hint = f" {fields['hint']}" if fields.get("hint") else ""
        return f"{event}: {fields['message']}{hint}"
    return event


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


class ConsoleReporter(Reporter):
    """A progress bar with an ETA on a terminal; elsewhere a line at each tenth, and twice a minute between them."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._last_tenth: tuple[str, int] | None = None
        self._last_line = 0.0
        self._bar_open = False

    def event(self, event: str, /, **fields: Any) -> None:
        # That nobody can be told (the terminal is gone, the disk of its log is full) does not end the work.
        with contextlib.suppress(OSError):
            self._show(event, fields)

    def _show(self, event: str, fields: dict[str, Any]) -> None:
        if event == "progress":
            self._show_progress(**fields)
            return
        line = event_in_words(event, fields)
        if line:
            self._close_bar()
            print("\n".join(map(printable, line.split("\n"))), file=self._stream, flush=True)

    def _show_progress(
        self,
        /,
        stage: str = "",
        done: int = 0,
        total: int = 0,
        unit: str = "",
        eta_s: float | None = None,
        inner: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        left = "" if eta_s is None or done == total else f", {duration_in_words(eta_s)} left"
        part = f", {inner.get('unit')} {inner.get('done')}/{inner.get('total')}" if isinstance(inner, dict) else ""
        text = printable(f"{stage} {done}/{total} {unit}s{part}{left}")
        if self._terminal:
            filled = 24 * min(done, total) // max(total, 1)
            print(f"\r\x1b[K[{'#' * filled}{'.' * (24 - filled)}] {text}", end="", file=self._stream, flush=True)
            self._bar_open = True
            if done >= total:
                self._close_bar()
            return
        tenth = (stage, 10 * done // max(total, 1))
        if tenth != self._last_tenth or time.monotonic() - self._last_line > QUIET_S:
            self._last_tenth, self._last_line = tenth, time.monotonic()
            print(text, file=self._stream, flush=True)

    def _close_bar(self) -> None:
        if self._bar_open:
            print(file=self._stream)
            self._bar_open = False
