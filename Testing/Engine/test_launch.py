"""The processes of a training: how they are started, fail together, are stopped and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch.distributed import PrefixStore, TCPStore
from torch.distributed.elastic.rendezvous import RendezvousConnectionError, RendezvousTimeoutError

from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.rank import Rank
from SegAutoPlanLib.runs import RunFolder, RunReporter
from SegAutoPlanLib.training import elastic
from SegAutoPlanLib.training.distributed import Ranks, joined
from SegAutoPlanLib.training.launch import launch_ranks
from SegAutoPlanLib.training.nodes import Nodes
from SegAutoPlanLib.training.rank_process import RankFailed

from .several_processes import events_of, one_thread_per_process, wait_for  # noqa: F401

REPOSITORY = Path(__file__).resolve().parents[2]
GRACE_S = 10.0
"""How long those may live on whom nobody needs."""

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED: several processes train on Linux only"
)


def only_the_other_one_refuses(ranks: Ranks) -> None:
    with ranks.all_or_none():
        if not ranks.is_main:
            raise UserInputError("what the other one found")


def the_main_one_refuses(ranks: Ranks, _reporter: Reporter) -> None:
    with pytest.raises(UserInputError, match="what the other one found"):
        only_the_other_one_refuses(ranks)
    with ranks.main_first():
        if ranks.is_main:
            raise UserInputError(f"{time.monotonic()}")
    raise AssertionError("the other process must not come here")


def the_other_one_crashes(ranks: Ranks, _reporter: Reporter) -> None:
    if not ranks.is_main:
        raise RuntimeError(f"out of memory at {time.monotonic()}")
    ranks.any_rank(False)


def the_other_one_is_killed(ranks: Ranks, reporter: Reporter) -> None:
    reporter.event("checkpoint", name="latest", epoch=int(ranks.is_continued))
    ranks.any_rank(False)
    if not ranks.is_main:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.any_rank(False)


def test_an_error_of_the_main_process_ends_the_other_within_seconds():
    with pytest.raises(UserInputError) as refusal:
        launch_ranks(the_main_one_refuses, 2, "cpu")
    assert time.monotonic() - float(str(refusal.value)) < GRACE_S, "the other had to be killed"


def test_a_failure_of_another_process_is_the_runs_failure(tmp_path):
    with (
        pytest.raises(RankFailed, match="Process 2 of 2: RuntimeError: out of memory") as failure,
        RunReporter(tmp_path, []) as reporter,
    ):
        launch_ranks(the_other_one_crashes, 2, "cpu", reporter)
    assert time.monotonic() - float(str(failure.value).split()[-1]) < GRACE_S, "the main one had to be killed"
    state = RunFolder(tmp_path).state()
    assert state.status == "failed"
    assert "memory" in state.message


def test_after_a_process_is_killed_all_start_again_and_at_last_a_sentence_says_so(tmp_path):
    with (
        pytest.raises(RankFailed, match=r"Process 2 of 2 was killed by signal 9.* started again 1 time"),
        RunReporter(tmp_path, []) as reporter,
    ):
        launch_ranks(the_other_one_is_killed, 2, "cpu", reporter, restarts=1)
    [warning] = [event["message"] for event in events_of(tmp_path) if event["event"] == "warning"]
    assert "Process 2 of 2 was killed by signal 9" in warning
    assert "from the last checkpoint" in warning
    seen = [event["epoch"] for event in events_of(tmp_path) if event["event"] == "checkpoint"]
    assert seen == [0, 1], "only the second start goes on from the checkpoint of the first"


class Stopping(Reporter):
    """Asked to stop from the beginning."""

    def stop_requested(self) -> bool:
        return True


def test_who_waits_for_the_other_computers_can_be_stopped():
    before = threading.active_count()
    with pytest.raises(StopRequested, match="waiting for the other computers"):
        launch_ranks(the_main_one_refuses, 1, "cpu", Stopping(), Nodes(2, "127.0.0.1:29418"))
    wait_for(lambda: threading.active_count() == before, "it waits on", GRACE_S)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RendezvousConnectionError, "--rendezvous node01:29400: nobody answers there"),
        (RendezvousTimeoutError, "--rendezvous node01:29400: of 2 computers not all came within 15 minutes"),
    ],
)
def test_computers_that_do_not_find_each_other_are_told_in_a_sentence(monkeypatch, error, sentence):
    def fail(_parameters: object) -> None:
        raise error

    monkeypatch.setattr(elastic, "get_rendezvous_handler", fail)
    with pytest.raises(UserInputError, match=sentence):
        launch_ranks(the_main_one_refuses, 1, "cpu", nodes=Nodes(2, "node01:29400"))


def wait_in_a_collective(folder: Path, ranks: Ranks, _reporter: Reporter) -> None:
    (folder / f"{os.getpid()}").touch()
    if ranks.is_main:
        time.sleep(300)
    ranks.any_rank(False)


def test_the_processes_end_when_the_one_that_launched_them_is_killed(tmp_path):
    code = (
        "import sys; from functools import partial; from pathlib import Path\n"
        "from Testing.Engine.test_launch import launch_ranks, wait_in_a_collective\n"
        "launch_ranks(partial(wait_in_a_collective, Path(sys.argv[1])), 2, 'cpu')\n"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY)
    try:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2 or launcher.poll() is not None, "no processes")
        pids = [int(file.name) for file in tmp_path.iterdir()]
        assert len(pids) == 2
        assert {os.getpgid(pid) for pid in pids} == {os.getpgid(launcher.pid)}, "killing the group must reach them"
    finally:
        launcher.kill()
        launcher.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").is_file() for pid in pids), "they live on", GRACE_S)


def leave_twice(rank: Rank, port: int, folder: Path) -> None:
    """Join and leave by either way, and write which threads of the group are left."""
    store = TCPStore("127.0.0.1", port, is_master=False)

    def work(ranks: Ranks, fails: bool) -> None:
        network = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))
        network(torch.ones(1, 2)).sum().backward()
        ranks.any_rank(False)
        if fails:
            raise StopRequested("as after a stop")

    left = {}
    for fails in (False, True):
        try:
            with joined(rank, torch.device("cpu"), PrefixStore(f"{fails}", store)) as ranks:
                work(ranks, fails)
        except StopRequested:
            left["stopped"] = thread_names()
        else:
            left["finished"] = thread_names()
    write_json(folder / f"{rank.rank}.json", left)


def thread_names() -> list[str]:
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return [name for name in names if "gloo" in name]


def test_no_thread_of_the_group_outlives_it(tmp_path):
    """One that is late by then ends the process with `terminate called without an active exception`."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes = [
        get_context("spawn").Process(target=leave_twice, args=(Rank(number, 2, number), store.port, tmp_path))
        for number in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    for number in range(2):
        assert read_json(tmp_path / f"{number}.json") == {"finished": [], "stopped": []}
