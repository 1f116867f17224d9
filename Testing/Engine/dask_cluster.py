"""A Dask cluster of processes on this computer, for the tests; always ended with them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS_TO_START = 60
WITH_ENGINE = {"PYTHONPATH": str(REPOSITORY), "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}
"""Dask may try as long to reach a worker that is gone; its default is half a minute."""
LIFETIME_S = 300
"""A forgotten process ends by itself."""


class DaskCluster:
    """A scheduler on the loopback interface and workers of one thread each, which `folder` holds the files of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        self.scheduler_file = folder / "scheduler.json"
        self.address = ""

    def start_scheduler(self, environment: Mapping[str, str]) -> None:
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--idle-timeout", str(LIFETIME_S)]
        address_file = self.folder / "address"
        # The program itself tells its address only in a log; this asks the scheduler's own hook.
        preload = self.folder / "tell_address.py"
        preload.write_text(
            "import os, pathlib\n"
            "def dask_setup(scheduler):\n"
            f"    target = pathlib.Path({str(address_file)!r})\n"
            "    target.with_suffix('.new').write_text(scheduler.address)\n"
            "    os.replace(target.with_suffix('.new'), target)\n",
            encoding="utf-8",
        )
        process = self._start("dask_scheduler", [*options, "--preload", str(preload)], environment)
        deadline = time.monotonic() + SECONDS_TO_START
        while not address_file.is_file():
            assert process.poll() is None, self._log("dask_scheduler")
            assert time.monotonic() < deadline, "the scheduler does not start"
            time.sleep(0.05)
        self.address = address_file.read_text(encoding="utf-8")

    def start_worker(self, environment: Mapping[str, str] | None = None) -> subprocess.Popen:
        """Without a nanny, which would start a killed worker again."""
        options = ["--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        options += ["--local-directory", str(self.folder), "--death-timeout", "10"]
        return self._start("dask_worker", [self.address, *options], environment or WITH_ENGINE)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
        for process in self.processes:
            process.wait(timeout=30)

    def _start(self, program: str, options: list[str], environment: Mapping[str, str]) -> subprocess.Popen:
        with (self.folder / f"{program}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *options],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def _log(self, program: str) -> str:
        return (self.folder / f"{program}.log").read_text(encoding="utf-8", errors="replace")[-3000:]


@contextmanager
def dask_cluster(folder: Path, workers: int, **environment: str) -> Iterator[DaskCluster]:
    """A running cluster; `environment` is the scheduler's."""
    cluster = DaskCluster(folder)
    try:
        cluster.start_scheduler({**WITH_ENGINE, **environment})
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.stop()
