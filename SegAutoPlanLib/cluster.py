"""A Dask cluster as an executor: reached, and found fit for our tasks.

Dask gives the tasks of a worker that was lost to another one by itself. `distributed` is optional; nothing else
imports it.
"""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import UserInputError

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as RemoteFuture

SECONDS_TO_CONNECT = 10
FETCHED_AT_ONCE = 4
ENGINE_VERSION = f"{__package__}:__version__"
ALIKE = ("python", "dask", "distributed", "numpy", "scipy", "SimpleITK")
"""What has one version on every computer: tasks and results travel pickled, and results must be equal to the bit."""


@dataclass(frozen=True)
class Cluster:
    """A cluster's executor, and how many tasks its workers work on at once, as of now."""

    executor: Executor
    threads: Callable[[], int]


class ClusterExecutor(Executor):
    """A client's tasks as futures that always end.

    The client's own executor leaves a future pending for ever where a result was there, its worker was lost before
    it was fetched, and fetching it or doing it again failed.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._fetching = ThreadPoolExecutor(FETCHED_AT_ONCE, thread_name_prefix="fetch")

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future:
        # Not pure: an equal task is done again, since what counts is often the file that it writes.
        remote = self._client.submit(task, *arguments, pure=False, **named)
        local: Future = Future()
        local.add_done_callback(lambda done: remote.cancel() if done.cancelled() else None)
        remote.add_done_callback(lambda _: self._fetch(remote, local))
        return local

    def _fetch(self, remote: RemoteFuture, local: Future) -> None:
        if local.set_running_or_notify_cancel():
            fetched = self._fetching.submit(remote.result)
            fetched.add_done_callback(partial(_hand_over, local))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._fetching.shutdown(wait=False, cancel_futures=True)


def _hand_over(local: Future, fetched: Future) -> None:
    if fetched.cancelled():
        local.set_exception(CancelledError())
    elif fetched.exception() is not None:
        local.set_exception(fetched.exception())
    else:
        local.set_result(fetched.result())


@contextmanager
def connected_cluster(address: str, packages: Sequence[str] = ()) -> Iterator[Cluster]:
    """The cluster whose scheduler listens at `address`, e.g. `tcp://10.0.0.1:8786`.

    Args:
        packages: what the workers need besides, in the version that there is here.

    Raises:
        UserInputError: `distributed` is not installed, there is no scheduler or no worker, the workers lack our
            package or have other versions, or the cluster was lost within the block.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise UserInputError(
            f"--scheduler {address}: a Dask cluster needs the package distributed, which is not installed; "
            'install it with: pip install "segautoplan[cluster]"'
        ) from error
    with _client(address) as client:
        _require_workers(client, address)
        _require_alike(client, address, packages)
        try:
            with ClusterExecutor(client) as executor:
                yield Cluster(executor, lambda: sum(client.nthreads().values()))
        except distributed.scheduler.KilledWorker as error:
            raise UserInputError(
                f"--scheduler {address}: one case ended several workers, most often because their memory ran out; "
                "start them with fewer threads or on computers with more memory, then run it again."
            ) from error
        except (distributed.comm.CommClosedError, CancelledError) as error:
            raise UserInputError(
                f"--scheduler {address}: the connection to the scheduler was lost; start it again, and then this."
            ) from error


def _client(address: str) -> Client:
    import asyncio

    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    try:
        # A thread of its own, for the caller may have an event loop already.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _greet(address)).result()
        with warnings.catch_warnings():
            # What of the versions matters to us is compared below, and said in a sentence.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            return Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, ImportError, MemoryError, asyncio.TimeoutError) as error:
        reason = f" ({error})" if str(error) else ""
        raise UserInputError(
            f"--scheduler {address}: no Dask scheduler answers there{reason}; start one with `dask scheduler` and "
            "give the address that it prints."
        ) from error


async def _greet(address: str) -> None:
    """Connect once within the time: `Client` waits for ever where something listens and does not answer."""
    import asyncio

    from distributed.comm import connect
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    connection = await asyncio.wait_for(connect(address, SECONDS_TO_CONNECT, **arguments), SECONDS_TO_CONNECT)
    await connection.close()


def _require_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except TimeoutError as error:
        raise UserInputError(
            f"--scheduler {address}: the cluster has no workers; start some with `dask worker {address}`."
        ) from error


def _require_alike(client: Client, address: str, packages: Sequence[str]) -> None:
    """Compare first what pickles need, then ask for our package; the scheduler unpickles tasks as the workers do."""
    found = client.get_versions(packages=[*ALIKE[1:], *packages])
    ours = found["client"]["packages"]
    for place, theirs in {"scheduler": found["scheduler"], **found["workers"]}.items():
        for name in ALIKE if place == "scheduler" else (*ALIKE, *packages):
            version = theirs["packages"][name]
            if _relevant(name, version) != _relevant(name, ours[name]):
                raise _other_version(address, place, name, version, ours[name])
    # Named, not sent: a function of ours could not even be received where the package is missing.
    versions: dict[str, str | Exception] = client.run(pkgutil.resolve_name, ENGINE_VERSION, on_error="return")
    try:
        versions["scheduler"] = client.run_on_scheduler(pkgutil.resolve_name, ENGINE_VERSION)
    except ImportError as error:
        versions["scheduler"] = error
    for place, version in versions.items():
        if isinstance(version, Exception):
            raise UserInputError(
                f"--scheduler {address}: {_named(place)} cannot import {__package__} ({version}); install "
                "segautoplan there or start it with the package's folder on PYTHONPATH."
            )
        if version != __version__:
            raise _other_version(address, place, __package__, version, __version__)


def _relevant(name: str, version: str | None) -> str | None:
    """A change of Python's third number changes no result and no pickle; behind a plus stands what a build is for."""
    if version is None:
        return None
    return ".".join(version.split(".")[:2]) if name == "python" else version.partition("+")[0]


def _other_version(address: str, place: str, name: str, theirs: str | None, ours: str | None) -> UserInputError:
    return UserInputError(
        f"--scheduler {address}: {_named(place)} has {name} {theirs or 'not at all'}, but here it is {ours}; "
        "install the same version on both."
    )


def _named(place: str) -> str:
    return f"the {place}" if place == "scheduler" else f"the worker {place}"
