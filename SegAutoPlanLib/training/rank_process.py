"""A rank seen from within: it joins the group, works, and tells the process that launched it how that went.

A rank knows no run folder and no terminal. It stays in the process group of the one that launched it, so that whoever
kills the run kills it too, and it ends when its launcher is gone.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Client, Connection
from typing import Any

from ..allocator import keep_freed_memory
from ..errors import StopRequested, UserInputError, sentence_of
from ..networks.device import choose_device
from ..progress import Reporter
from ..rank import Rank, rank_from_environment
from ..stop_signals import STOP_SIGNALS
from .distributed import Ranks, joined

SAME_HERE = (UserInputError, StopRequested, MemoryError)
"""Errors of a rank that the launching process raises as they are; any other becomes a RankFailed with its words."""
STOP, END, LEAVE, FAIL = "stop", "end", "leave", "fail"
"""What a rank is told: stop cleanly, end at once; and after an error to end as if there were none, or to fail."""


class RankFailed(RuntimeError):
    """A process of the training ended by an error that is not the user's."""


@dataclass(frozen=True)
class RankCall:
    """What the process of a rank is started with."""

    work: Callable[[Ranks, Reporter], Any]
    device: str
    address: str | tuple[str, int]
    """Where its launcher listens."""
    secret: bytes
    """Without it the launcher does not listen to a caller."""


@dataclass(frozen=True)
class Hello:
    """A rank's first word."""

    rank: Rank
    pid: int
    start: str
    """The same for all that were started together, and only for them."""


@dataclass(frozen=True)
class Welcome:
    """The launcher's first word."""

    is_continued: bool
    """Whether an earlier start of these ranks wrote a checkpoint to go on from."""
    is_over: bool = False
    """Whether an earlier start ended in a way that another one would end in too: there is nothing to do."""


@dataclass(frozen=True)
class Event:
    """One event for the launching process's reporter."""

    name: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """A rank's last word."""

    result: Any = None
    error: Exception | None = None
    is_final: bool = True
    """Whether another start would end in the same way."""


def run_rank(call: RankCall) -> None:
    """A rank's whole life: the process is its own, as that of the command line is."""
    keep_freed_memory()
    for number in STOP_SIGNALS:
        # They reach the whole process group; what they mean is decided by the launching process alone.
        signal.signal(number, _not_for_ranks)
    rank = rank_from_environment()
    pipe = _Pipe(Client(call.address, authkey=call.secret), rank)
    if pipe.welcome.is_over:
        return
    try:
        with joined(rank, choose_device(call.device)) as ranks:
            # The last word goes out before the group is left: the others' errors can only come after it.
            try:
                result = call.work(replace(ranks, is_continued=pipe.welcome.is_continued), pipe)
            except Exception as error:
                pipe.end(_in_words(error, rank))
                raise
            pipe.end(Outcome(result if ranks.is_main else None))
    except SAME_HERE:
        pass
    except Exception as error:
        # Joining failed; of an error of the work this is known already.
        pipe.end(_in_words(error, rank))
        if pipe.is_to_leave():
            return
        traceback.print_exc()
        raise


def _not_for_ranks(*_: object) -> None:
    """A handler, not SIG_IGN: that one would be inherited by loader processes, which must end when they are told."""


def _in_words(error: Exception, rank: Rank) -> Outcome:
    for kind in SAME_HERE:
        if isinstance(error, kind):
            return Outcome(error=kind(str(error)))
    words = str(error).strip().splitlines()
    failure = RankFailed(f"{name_of(rank)}: {': '.join([type(error).__name__, *words[:1]])}")
    # Neither a full disk nor too little memory goes away by trying again.
    return Outcome(error=failure, is_final=sentence_of(error) is not None)


def name_of(rank: Rank) -> str:
    """A rank's name for people, who count from one."""
    return f"Process {rank.rank + 1} of {rank.world}"


class _Pipe(Reporter):
    """A rank's side of its connection: events and the last word go out, what it is told comes in."""

    def __init__(self, connection: Connection, rank: Rank) -> None:
        self._connection = connection
        self._is_main = rank.is_main
        self._sending = threading.Lock()
        self._stop = threading.Event()
        self._verdicts: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ended = False
        # The agent's count does not tell: where a start follows one on another computer it stays the same.
        self._send(Hello(rank, os.getpid(), f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"))
        self.welcome: Welcome = connection.recv()
        threading.Thread(target=self._listen, daemon=True, name="listen").start()

    def event(self, event: str, /, **fields: Any) -> None:
        if self._is_main:
            self._send(Event(event, fields))

    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def end(self, outcome: Outcome) -> None:
        """Say the last word, once."""
        if not self._ended:
            self._ended = True
            self._send(outcome)

    def is_to_leave(self) -> bool:
        """After a last word that is an error: whether to end quietly, since what matters has been said by another."""
        return self._verdicts.get() == LEAVE

    def _send(self, message: Hello | Event | Outcome) -> None:
        with self._sending:
            self._connection.send(message)

    def _listen(self) -> None:
        try:
            while (said := self._connection.recv()) != END:
                if said == STOP:
                    self._stop.set()
                else:
                    self._verdicts.put(said)
        except (EOFError, OSError):
            pass
        # The launching process is gone, and nobody is left to work for; or it starts all anew. A collective may hold
        # the main thread.
        os._exit(1)
