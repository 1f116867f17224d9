"""torch's elastic agent in a thread: it starts the ranks of this computer, and all of them again when one dies.

Needs torch 2.3, which the rest of the engine does not: imported by who starts ranks alone (`launch`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
import uuid
from collections.abc import Iterator

from torch.distributed.elastic.agent.server.api import WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.rendezvous import (
    RendezvousClosedError,
    RendezvousConnectionError,
    RendezvousError,
    RendezvousHandler,
    RendezvousParameters,
    RendezvousTimeoutError,
)
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from ..errors import UserInputError
from .nodes import Nodes
from .rank_process import RankCall, RankFailed, run_rank

JOIN_S = 900
"""How long the first computer waits for the last one."""
LEAVE_S = 15.0
"""How long a computer whose ranks have ended waits for the others."""

NO_SHARED_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
TALKATIVE = ("torch.distributed.elastic", "torch.multiprocessing.spawn")


class Agent(threading.Thread):
    """Runs the ranks until all have ended.

    It is a thread because the main one has to pass on events meanwhile, and because there the agent would take the
    process's signals for itself.
    """

    def __init__(self, call: RankCall, count: int, nodes: Nodes, restarts: int) -> None:
        super().__init__(daemon=True, name="elastic agent")
        self._call, self._count, self._nodes, self._restarts = call, count, nodes, restarts
        self._handler: RendezvousHandler | None = None
        self._error: RendezvousError | RankFailed | None = None
        self._has_ended_well = False

    def run(self) -> None:
        try:
            with _quiet(), _new_store_at_each_start(), tempfile.TemporaryDirectory(prefix="segautoplan-ranks-") as logs:
                self._run(logs)
            self._has_ended_well = True
        except (RendezvousError, RankFailed) as error:
            # Raised in the thread that asks for it. Any other is a mistake of ours, and is printed with its traceback.
            self._error = error

    def raise_error(self) -> None:
        """Raise what the agent itself came upon, if anything.

        Raises:
            UserInputError: the computers did not find each other.
            RankFailed: ranks failed and said no word, or another computer gave up.
        """
        error = self._error
        meeting = f"--rendezvous {self._nodes.rendezvous}"
        if isinstance(error, RendezvousConnectionError):
            raise UserInputError(
                f"{meeting}: nobody answers there; give the name of one of the computers and a port that the others "
                "may use, the same on each."
            ) from error
        if isinstance(error, RendezvousTimeoutError):
            raise UserInputError(
                f"{meeting}: of {self._nodes.count} computers not all came within {JOIN_S // 60} minutes; start the "
                "same command on each of them."
            ) from error
        if isinstance(error, RendezvousClosedError):
            raise RankFailed("The training has ended on another computer, whose log may say why.") from error
        if not self._has_ended_well:
            raise error or RankFailed("What starts the processes ended by an error; the log says by which.")

    def leave(self) -> None:
        """Nobody shall wait for the ranks of this computer any more, neither here nor elsewhere."""
        if self._nodes.count > 1 and self._handler is not None:
            self._handler.set_closed()

    def _run(self, logs: str) -> None:
        nodes = self._nodes
        self._handler = handler = get_rendezvous_handler(
            RendezvousParameters(
                backend="c10d",
                endpoint=nodes.rendezvous,
                run_id=nodes.name or uuid.uuid4().hex,
                min_nodes=nodes.count,
                max_nodes=nodes.count,
                local_addr=nodes.own_address,
                join_timeout=JOIN_S,
            )
        )
        agent = LocalElasticAgent(
            WorkerSpec(
                role="rank",
                local_world_size=self._count,
                entrypoint=run_rank,
                args=(self._call,),
                rdzv_handler=handler,
                max_restarts=self._restarts,
                monitor_interval=0.1,
                local_addr=nodes.own_address,
            ),
            logs_specs=DefaultLogsSpecs(log_dir=logs),
            start_method="spawn",
            exit_barrier_timeout=LEAVE_S,
        )
        try:
            result = agent.run()
        finally:
            handler.shutdown()
        if result.is_failed():
            codes = {failure.exitcode for failure in result.failures.values()}
            raise RankFailed(f"A process of the training ended with exit code {codes.pop()}; the log may say why.")


@contextlib.contextmanager
def _new_store_at_each_start() -> Iterator[None]:
    # Otherwise the ranks of the second start find the addresses of those of the first.
    before = os.environ.get(NO_SHARED_STORE)
    os.environ[NO_SHARED_STORE] = "1"
    try:
        yield
    finally:
        del os.environ[NO_SHARED_STORE]
        if before is not None:
            os.environ[NO_SHARED_STORE] = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # They say on the terminal what the ranks' own sentences say.
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    before, nowhere = [logger.propagate for logger in loggers], logging.NullHandler()
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(nowhere)
    try:
        yield
    finally:
        for logger, propagates in zip(loggers, before, strict=True):
            logger.removeHandler(nowhere)
            logger.propagate = propagates
