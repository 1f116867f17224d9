"""One training in several processes, one per GPU, on one computer or on several: torch's elastic agent runs them.

The agent starts the ranks, and all of them again when one dies. The process that launches them stays the one that
reports: what the main rank says goes to its reporter, and the stop that its reporter hears goes to its ranks. The agent
has no way for that, so each rank calls back over a connection of its own (`rank_process`).
"""

from __future__ import annotations

import multiprocessing
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection, Listener, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed

from ..errors import StopRequested, UserInputError
from ..progress import SILENT, Reporter
from ..rank import Rank, rank_from_environment
from .distributed import Ranks
from .nodes import Nodes
from .rank_process import END, FAIL, LEAVE, STOP, Event, Hello, Outcome, RankCall, RankFailed, Welcome, name_of

if TYPE_CHECKING:
    from .elastic import Agent

Result = TypeVar("Result")

LOOK_S = 0.2
"""How long a stop may go unheard."""
GRACE_S = 2.0
"""How long the others may take to say their last word after the first failure."""
GO_ON_FROM = ("latest", "final")
"""Checkpoints that are newer than those of an earlier training; the best one may lag behind."""


def launch_ranks(
    work: Callable[[Ranks, Reporter], Result],
    count: int,
    device: str,
    reporter: Reporter = SILENT,
    nodes: Nodes | None = None,
    restarts: int = 0,
) -> Result | None:
    """What `work` gives in the main one of new processes that have joined into one group; None on other computers.

    A script that calls this needs the `if __name__ == "__main__":` of every program that starts processes.

    Args:
        work: what every rank does; a function of a module, or a `functools.partial` of one.
        count: how many processes on this computer.
        device: as for `choose_device`; `cpu` for several processes without GPUs.
        reporter: hears the main rank.
        nodes: the computers, on each of which this is called (default: this one alone).
        restarts: how often all may be started again after one has died or failed; a user's mistake, a full disk or
            too little memory ends the work at once.

    Raises:
        UserInputError: not so many GPUs here, a torch too old, the computers do not find each other; or a rank says so.
        StopRequested: after the reporter was asked to stop and the work did.
        RankFailed: a process failed; the others have been ended.
    """
    nodes = nodes or Nodes()
    _check(count, device)
    new_agent = _agent_class()
    secret = secrets.token_bytes(32)
    with _listening(secret) as (listener, connections):
        call = RankCall(work, device, listener.address, secret)
        agent = new_agent(call, count, nodes, restarts)
        launch = _Launch(agent, connections, reporter, has_begun=nodes.count == 1)
        agent.start()
        try:
            return launch.follow()
        finally:
            launch.end()


def _check(count: int, device: str) -> None:
    if not distributed.is_available():
        raise UserInputError("--gpus: this torch cannot work in several processes; use --gpus 1.")
    if rank_from_environment().world > 1:
        raise UserInputError("--gpus: torchrun has started the processes already; leave the option out.")
    if device != "cpu" and torch.cuda.device_count() < count:
        raise UserInputError(f"--gpus {count}: torch finds {torch.cuda.device_count()} GPU(s) here; give at most that.")


def _agent_class() -> type[Agent]:
    try:
        from .elastic import Agent
    except ImportError as error:
        raise UserInputError(
            f"--gpus, --nodes: several processes need torch 2.3 or newer, and here is {torch.__version__}; "
            "update torch, or train in one process."
        ) from error
    return Agent


@contextmanager
def _listening(secret: bytes) -> Iterator[tuple[Listener, list[Connection]]]:
    """A place where ranks call, and the calls that have come so far."""
    listener = Listener(authkey=secret)
    calls: list[Connection] = []
    ended = threading.Event()

    def accept() -> None:
        while not ended.is_set():
            # Who calls may be killed in the midst of it.
            with suppress(OSError, EOFError, multiprocessing.AuthenticationError):
                calls.append(listener.accept())

    thread = threading.Thread(target=accept, daemon=True, name="accept")
    thread.start()
    try:
        yield listener, calls
    finally:
        ended.set()
        # It waits for one more.
        with suppress(OSError, EOFError):
            Client(listener.address, authkey=secret).close()
        thread.join()
        listener.close()
        for call in calls:
            call.close()


@dataclass
class _Launched:
    """A rank, seen from the process that launched it."""

    rank: Rank
    connection: Connection
    process: BaseProcess | None
    outcome: Outcome | None = None
    was_ended: bool = False

    def end(self) -> None:
        self.was_ended = True
        self.tell(END)

    def tell(self, word: str) -> None:
        with suppress(OSError):  # it may have ended meanwhile
            self.connection.send(word)

    def death(self) -> RankFailed:
        code = None
        if self.process is not None:
            self.process.join(GRACE_S)
            code = self.process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        return RankFailed(f"{name_of(self.rank)} {how} and said no more; the log may say why.")


@dataclass
class _Start:
    """The ranks of this computer from one start of all to the next."""

    name: str = ""
    ranks: dict[Connection, _Launched] = field(default_factory=dict)
    deaths: list[Exception] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    stops: list[Exception] = field(default_factory=list)
    """Of those who stop because another one did, which says why; it may be on another computer."""
    is_over: bool = False
    """Whether another start would be of no use."""
    ending_at: float | None = None

    def cause(self) -> Exception | None:
        # The errors of others follow from a death, even where they were heard earlier.
        return next(iter([*self.deaths, *self.errors, *self.stops]), None)


class _Launch:
    """What the launching process hears and tells while the agent runs the ranks."""

    def __init__(self, agent: Agent, calls: list[Connection], reporter: Reporter, has_begun: bool) -> None:
        self._agent, self._calls, self._reporter = agent, calls, reporter
        self._has_begun = has_begun
        """Whether the computers have found each other."""
        self._known = 0
        """How many of the calls have been answered."""
        self._start = _Start()
        self._restarted = 0
        self._asked_to_stop = False
        self._has_checkpoint = False

    def follow(self) -> Any:
        """Pass on what the main rank says until all have ended; then its result, or the first failure is raised."""
        while self._agent.is_alive():
            self._welcome()
            self._hear()
            self._tell()
        self.end()
        while any(not connection.closed for connection in self._start.ranks):
            self._hear()
        cause = self._start.cause()
        if isinstance(cause, RankFailed) and self._restarted:
            raise RankFailed(f"{cause} All processes had been started again {self._restarted} time(s).") from cause
        if cause is not None:
            raise cause
        self._agent.raise_error()
        results = [each.outcome for each in self._start.ranks.values() if each.rank.is_main and each.outcome]
        return results[0].result if results else None

    def end(self) -> None:
        """Leave no rank behind, whatever this process was interrupted by."""
        self._welcome()
        for each in self._start.ranks.values():
            each.end()

    def _welcome(self) -> None:
        while self._known < len(self._calls):
            connection = self._calls[self._known]
            self._known += 1
            with suppress(OSError, EOFError):
                hello: Hello = connection.recv()
                self._has_begun = True
                if self._start.name not in ("", hello.start):
                    if self._start.is_over:
                        connection.send(Welcome(self._has_checkpoint, is_over=True))
                        continue
                    self._begin_again()
                self._start.name = hello.start
                process = next((child for child in multiprocessing.active_children() if child.pid == hello.pid), None)
                connection.send(Welcome(self._has_checkpoint))
                self._start.ranks[connection] = launched = _Launched(hello.rank, connection, process)
                if self._asked_to_stop:
                    launched.tell(STOP)

    def _begin_again(self) -> None:
        self._restarted += 1
        cause = self._start.cause() or "The connection to another computer was lost."
        how = "from the last checkpoint" if self._has_checkpoint else "from the beginning"
        # On another computer than the main process's nobody knows.
        going_on = f" and go on {how}" if any(each.rank.is_main for each in self._start.ranks.values()) else ""
        self._reporter.event(
            "warning", message=f"{cause} All processes were started again{going_on} (time {self._restarted})."
        )
        self._start = _Start()

    def _hear(self) -> None:
        start = self._start
        running = {connection: each for connection, each in start.ranks.items() if not connection.closed}
        failed: list[_Launched] = []
        if not running:
            time.sleep(LOOK_S)
            return
        for connection in wait(list(running), LOOK_S):
            sender = running[connection]
            try:
                message = connection.recv()
            except (EOFError, OSError):
                connection.close()
                if sender.outcome is None and not sender.was_ended:
                    start.deaths.append(sender.death())
                continue
            if isinstance(message, Event):
                self._pass_on(message)
                continue
            sender.outcome = message
            if message.error is None:
                continue
            start.is_over |= message.is_final
            is_own = sender.rank.is_main or not isinstance(message.error, StopRequested)
            (start.errors if is_own else start.stops).append(message.error)
            failed.append(sender)
        # Only now is known whether one of them has said what ends it all.
        for each in failed:
            each.tell(LEAVE if start.is_over else FAIL)
        if (start.deaths or start.errors) and start.ending_at is None:
            start.ending_at = time.monotonic() + GRACE_S
            if start.is_over:
                self._agent.leave()

    def _pass_on(self, event: Event) -> None:
        if event.name == "checkpoint" and event.fields.get("name") in GO_ON_FROM:
            self._has_checkpoint = True
        self._reporter.event(event.name, **event.fields)

    def _tell(self) -> None:
        start = self._start
        if start.ending_at is not None and time.monotonic() > start.ending_at:
            start.ending_at = float("inf")
            for each in start.ranks.values():
                if each.outcome is None:
                    each.end()
        if not self._asked_to_stop and self._reporter.stop_requested():
            self._asked_to_stop = True
            for each in start.ranks.values():
                each.tell(STOP)
        if self._asked_to_stop and not self._has_begun:
            self._agent.leave()
            raise StopRequested("Stopped while waiting for the other computers.")
