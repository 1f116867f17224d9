"""How a run stands, as its events tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

ENDS = ("finished", "stopped", "failed")
"""The events with which a worker closes its run."""
MOST_WARNINGS = 200
"""That are remembered, the latest."""
MOST_EPOCHS = 20_000
"""That are remembered, the latest."""
LARGEST_COUNT = 10**9
"""Of steps: a progress bar counts in 32 bits."""
LONGEST_TIME_S = 1e9
LONGEST_TEXT = 2000
"""Of a message, in characters; more of it is left out."""


@dataclass(frozen=True)
class EpochReport:
    """What a training said after one epoch."""

    epoch: int
    """Counted from 1."""
    epochs: int | None = None
    """How many there will be."""
    train_loss: float | None = None
    val_loss: float | None = None
    dice: tuple[float | None, ...] = ()
    """Per foreground label or region; None where it occurs nowhere."""
    ema_dice: float | None = None
    """Moving average of the mean Dice."""
    learning_rate: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class RunState:
    """What a viewer shows of a run."""

    status: str
    """`starting`, `running`, `stopping`, `finished`, `stopped`, `failed` or `lost` (the process is gone, unasked)."""
    stage: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    eta_s: float | None = None
    message: str = ""
    hint: str = ""
    epochs: tuple[EpochReport, ...] = ()
    """First to last, each once."""
    warnings: tuple[str, ...] = ()
    """The work's own, and what of the run's files could not be read."""
    result: dict[str, Any] | None = None
    """What the work gave, as its `finished` event says."""

    @property
    def over(self) -> bool:
        return self.status in (*ENDS, "lost")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class StateAccumulator:
    """Takes the events of a run one after the other and knows the state they lead to."""

    def __init__(self) -> None:
        self._status = "starting"
        self._progress: dict[str, Any] = {}
        self._ending: dict[str, Any] = {}
        self._epochs: list[EpochReport] = []
        self._warnings: list[str] = []

    @property
    def state(self) -> RunState:
        return RunState(
            self._status,
            **self._progress,
            **self._ending,
            epochs=tuple(self._epochs),
            warnings=tuple(self._warnings),
        )

    def take(self, event: dict[str, Any]) -> None:
        """Go on from one event.

        Raises:
            ValueError: a field has a type that the event does not have; the state is as it was.
        """
        kind = _field(event, "event", str)
        if kind in ENDS:
            self._status, self._ending = kind, _ending(event)
            return
        if kind == "progress":
            self._progress = _progress(event)
        elif kind == "epoch":
            report = _epoch_report(event)
            # A resumed run repeats epochs in the folder of the old one.
            while self._epochs and self._epochs[-1].epoch >= report.epoch:
                self._epochs.pop()
            self._epochs.append(report)
            del self._epochs[:-MOST_EPOCHS]
        elif kind == "warning":
            words = (_text(event, "message"), _text(event, "hint", ""))
            self._warnings = [*self._warnings[-MOST_WARNINGS:], " ".join(filter(None, words))]
        self._status, self._ending = "running", {}


def state_after(events: Sequence[dict[str, Any]]) -> RunState:
    """The state that a sequence of events leads to.

    Raises:
        ValueError: a field has a type that its event does not have.
    """
    accumulator = StateAccumulator()
    for event in events:
        accumulator.take(event)
    return accumulator.state


def _ending(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "message": _text(event, "message", ""),
        "hint": _text(event, "hint", ""),
        "result": _field(event, "result", dict, None),
    }


def _progress(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "stage": _text(event, "stage", ""),
        "done": _count(event, "done", 0),
        "total": _count(event, "total", 0),
        "unit": _text(event, "unit", ""),
        "eta_s": _duration(event, "eta_s"),
    }


def _epoch_report(event: dict[str, Any]) -> EpochReport:
    dice = _field(event, "dice", list, [])
    if not all(value is None or isinstance(value, int | float) for value in dice):
        raise ValueError("dice is not a list of numbers")
    return EpochReport(
        epoch=_count(event, "epoch"),
        epochs=_count(event, "epochs", None),
        train_loss=_number(event, "train_loss"),
        val_loss=_number(event, "val_loss"),
        dice=tuple(dice),
        ema_dice=_number(event, "ema_dice"),
        learning_rate=_number(event, "learning_rate"),
        seconds=_duration(event, "seconds"),
    )


def _duration(event: dict[str, Any], name: str) -> float | None:
    value = _number(event, name)
    if value is not None and not 0 <= value <= LONGEST_TIME_S:
        raise ValueError(f"{name} is {value}")
    return value


def _number(event: dict[str, Any], name: str) -> float | None:
    return _field(event, name, int | float, None)


def _count(event: dict[str, Any], name: str, *default: Any) -> Any:
    value = _field(event, name, int, *default)
    if value is not None and not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"{name} is out of range")
    return value


def _text(event: dict[str, Any], name: str, *default: Any) -> Any:
    value = _field(event, name, str, *default)
    return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]} …"


def _field(event: dict[str, Any], name: str, kind: Any, *default: Any) -> Any:
    """The field, or the default where it is missing or null; without a default it must be there."""
    value = event.get(name)
    if value is None and default:
        return default[0]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}")
    return value
