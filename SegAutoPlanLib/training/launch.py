"""One training in several processes of this computer, one per GPU, told and heard through pipes.

The process that launches them stays the one that reports: what the main rank says goes to its reporter, and the stop
that its reporter hears goes to the main rank, which tells the others. The ranks know no run folder and no terminal.
They stay in the process group of the one that launched them (torchrun gives each a session of its own), so that
whoever kills the run kills them, and they end when it is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch
from torch.distributed import TCPStore

from ..allocator import keep_freed_memory
from ..errors import StopRequested, UserInputError
from ..networks.device import choose_device
from ..progress import SILENT, Reporter
from ..rank import Rank, rank_from_environment
from .distributed import Ranks, joined

Result = TypeVar("Result")

HOST = "127.0.0.1"
LOOK_S = 0.2
"""How long a stop may go unheard."""
GRACE_S = 10.0
"""How long the others may take to end by themselves after the first failure."""
SAME_HERE = (UserInputError, StopRequested, MemoryError)
"""Errors of a rank that are raised here as what they are; any other becomes a RankFailed with its words."""


class RankFailed(RuntimeError):
    """A process of the training ended by an error that is not the user's."""


def launch_ranks(
    work: Callable[[Ranks, Reporter], Result], count: int, device: str, reporter: Reporter = SILENT
) -> Result:
    """What `work` gives in the main one of `count` new processes, which have joined into one group.

    A script that calls this needs the `if __name__ == "__main__":` of every program that starts processes.

    Args:
        work: what every rank does; a function of a module, or a `functools.partial` of one.
        count: how many processes.
        device: as for `choose_device`; `cpu` for several processes without GPUs.
        reporter: hears the main rank.

    Raises:
        UserInputError: not so many GPUs here, or no Linux; or a rank says so.
        StopRequested: after the reporter was asked to stop and the work did.
        RankFailed: a process failed; the others have been ended.
    """
    _check(count, device)
    # Kept by the process that outlives the others; the system chooses the port.
    store = TCPStore(HOST, 0, is_master=True, wait_for_workers=False)
    launched: list[_Launched] = []
    try:
        for number in range(count):
            launched.append(_start(_Task(work, Rank(number, count, number), device, store.port)))
        return _follow(launched, reporter)
    finally:
        for each in launched:
            each.end()


def _check(count: int, device: str) -> None:
    if not sys.platform.startswith("linux"):
        raise UserInputError("--gpus: training on several GPUs works on Linux only; use --gpus 1.")
    if rank_from_environment().world > 1:
        raise UserInputError("--gpus: torchrun has started the processes already; leave the option out.")
    if device != "cpu" and torch.cuda.device_count() < count:
        raise UserInputError(f"--gpus {count}: torch finds {torch.cuda.device_count()} GPU(s) here; give at most that.")


@dataclass(frozen=True)
class _Task:
    """What a process is started with."""

    work: Callable[[Ranks, Reporter], Any]
    rank: Rank
    device: str
    port: int


@dataclass(frozen=True)
class _Event:
    name: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class _Outcome:
    """A rank's last word."""

    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class _Launched:
    """A rank, seen from the process that launched it."""

    rank: Rank
    process: BaseProcess
    connection: Connection

    def ask_to_stop(self) -> None:
        with suppress(OSError):  # it may have ended meanwhile
            self.connection.send("stop")

    def end(self) -> None:
        # Gentler signals are not for the ranks, and their files are written in one step.
        self.process.kill()
        self.process.join()
        self.connection.close()

    def death(self) -> RankFailed:
        self.process.join(GRACE_S)
        code = self.process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        return RankFailed(f"{_name(self.rank)} {how} and said no more; the log may say why.")


def _start(task: _Task) -> _Launched:
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_run_rank, args=(task, theirs), name=f"rank {task.rank.rank}")
    process.start()
    # Only now does the pipe end with the process.
    theirs.close()
    return _Launched(task.rank, process, ours)


def _follow(launched: list[_Launched], reporter: Reporter) -> Any:
    """Pass on what the main rank says until all have ended; then its result, or the first failure is raised."""
    running = {each.connection: each for each in launched}
    outcomes: dict[Rank, _Outcome] = {}
    deaths: list[Exception] = []
    errors: list[Exception] = []
    asked_to_stop, deadline = False, None
    while running and (deadline is None or time.monotonic() < deadline):
        for connection in wait(list(running), LOOK_S):
            sender = running[connection]
            try:
                message = connection.recv()
            except (EOFError, ConnectionResetError):
                del running[connection]
                if sender.rank not in outcomes:
                    deaths.append(sender.death())
                continue
            if isinstance(message, _Event):
                reporter.event(message.name, **message.fields)
                continue
            outcomes[sender.rank] = message
            # Another rank stops because the main one did, which says why.
            if message.error and (sender.rank.is_main or not isinstance(message.error, StopRequested)):
                errors.append(message.error)
        if (deaths or errors) and deadline is None:
            deadline = time.monotonic() + GRACE_S
        if not asked_to_stop and reporter.stop_requested():
            asked_to_stop = True
            launched[0].ask_to_stop()
    # The errors of others follow from a death, even where they were heard earlier.
    for cause in (*deaths, *errors):
        raise cause
    return outcomes[launched[0].rank].result


def _run_rank(task: _Task, connection: Connection) -> None:
    """A rank's whole life: the process is its own, as that of the command line is."""
    keep_freed_memory()
    for number in (signal.SIGINT, signal.SIGTERM):
        # They reach the whole process group; what they mean is decided by the launching process alone.
        signal.signal(number, _not_for_ranks)
    pipe = _Pipe(connection)
    try:
        store = TCPStore(HOST, task.port, is_master=False)
        with joined(task.rank, choose_device(task.device), store) as ranks:
            # The last word goes out before the group is left: the others' errors can only come after it.
            try:
                result = task.work(ranks, pipe if ranks.is_main else SILENT)
            except Exception as error:
                pipe.end(_Outcome(error=_for_the_launcher(error, task.rank)))
                raise
            pipe.end(_Outcome(result if ranks.is_main else None))
    except SAME_HERE:
        pass
    except Exception as error:
        # Joining failed; of an error of the work this is known already.
        pipe.end(_Outcome(error=_for_the_launcher(error, task.rank)))
        raise


def _not_for_ranks(*_: object) -> None:
    """A handler, not SIG_IGN: that one would be inherited by loader processes, which must end when they are told."""


def _for_the_launcher(error: Exception, rank: Rank) -> Exception:
    for kind in SAME_HERE:
        if isinstance(error, kind):
            return kind(str(error))
    words = str(error).strip().splitlines()
    return RankFailed(f"{_name(rank)}: {': '.join([type(error).__name__, *words[:1]])}")


def _name(rank: Rank) -> str:
    return f"Process {rank.rank + 1} of {rank.world}"


class _Pipe(Reporter):
    """A rank's side of its pipe: events and the last word go out, a stop comes in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._stop = threading.Event()
        self._ended = False
        threading.Thread(target=self._listen, daemon=True, name="listen").start()

    def event(self, event: str, **fields: Any) -> None:
        self._send(_Event(event, fields))

    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def end(self, outcome: _Outcome) -> None:
        """Say the last word, once."""
        if not self._ended:
            self._ended = True
            self._send(outcome)

    def _send(self, message: _Event | _Outcome) -> None:
        with self._sending:
            self._connection.send(message)

    def _listen(self) -> None:
        try:
            while self._connection.recv():
                self._stop.set()
        except (EOFError, OSError):
            # The launching process is gone, and nobody is left to work for. A collective may hold the main thread.
            os._exit(1)
