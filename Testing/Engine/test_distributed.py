"""Several processes train as one: they learn the same, only one of them speaks, and an error of any ends all."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch.distributed import PrefixStore, TCPStore

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.command_line import build_parser
from SegAutoPlanLib.command_line.arguments import record
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.pipeline import train as train_module
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.rank import Rank
from SegAutoPlanLib.runs import RunFolder, RunReporter
from SegAutoPlanLib.training.distributed import Ranks, joined
from SegAutoPlanLib.training.launch import GRACE_S, HOST, RankFailed, launch_ranks
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, ball_workspace

REPOSITORY = Path(__file__).resolve().parents[2]
FOLD = f"results/{NAME}/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0"
TRAIN = ["train", NAME, "3d_fullres", "0", "--recipe", "short", "--device", "cpu"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "SegAutoPlanLib"]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED: several processes train on Linux only"
)


@pytest.fixture(autouse=True, scope="module")
def one_thread_per_process():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def events_of(run: Path) -> list[dict]:
    lines = (run / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] != "progress" or event["done"]]


def wait_for(condition, what: str, limit_s: float = 60) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.1)


@pytest.fixture(scope="module", params=[("--gpus", True), ("torchrun", False)], ids=lambda param: param[0])
def pair(request, tmp_path_factory):
    """What one process learned, what two learned, and the run folder of the two."""
    launcher, batch_dice = request.param
    root = tmp_path_factory.mktemp("pair")
    path = ball_workspace(root).preprocessed / NAME / "nnUNetPlans.json"
    document = read_json(path)
    document["configurations"]["3d_fullres"]["batch_dice"] = batch_dice
    write_json(path, document)
    arguments = [*TRAIN, "--epochs", "1", "--iterations", "3", "--workspace", str(root)]
    assert main(arguments) == 0
    alone = read_checkpoint(root / FOLD / "checkpoint_final.pth")
    run = root / "run"
    arguments += ["--run-folder", str(run)]
    if launcher == "--gpus":
        assert main([*arguments, "--gpus", "2"]) == 0
    else:
        answer = subprocess.run(
            [*TORCHRUN, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=240
        )
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.count("finished") == 1, "the other process printed too"
    return alone, read_checkpoint(root / FOLD / "checkpoint_final.pth"), run


def test_two_processes_equal_one(pair):
    alone, together, _ = pair
    for name, tensor in alone["network_weights"].items():
        assert torch.allclose(tensor, together["network_weights"][name], atol=2e-5), name
    assert together["logging"]["mean_fg_dice"] == pytest.approx(alone["logging"]["mean_fg_dice"], abs=1e-3)


def test_only_the_main_process_reports_and_it_finishes_once_after_validation(pair):
    *_, run = pair
    names = [event["event"] for event in events_of(run)]
    assert names.count("started") == names.count("preprocessed") == names.count("finished") == 1
    last_validated, finished = events_of(run)[-2:]
    assert (last_validated["stage"], finished["event"]) == ("validating", "finished")
    assert last_validated["done"] == last_validated["total"]
    assert finished["result"]["checkpoint"].endswith("checkpoint_final.pth")
    assert read_json(run / "run.json")["exit"] == 0


def test_a_stop_of_two_processes_writes_one_checkpoint_and_says_stopped(tmp_path):
    ball_workspace(tmp_path)
    run = tmp_path / "run"

    def stop_in_the_epoch() -> None:
        wait_for(lambda: RunFolder(run).state().stage == "training", "no training")
        RunFolder(run).request_stop()

    stopper = threading.Thread(target=stop_in_the_epoch)
    stopper.start()
    arguments = [*TRAIN, "--epochs", "1", "--iterations", "100000", "--workspace", str(tmp_path)]
    assert main([*arguments, "--gpus", "2", "--run-folder", str(run)]) == 0
    stopper.join()
    events = events_of(run)
    assert events[-1]["event"] == "stopped"
    assert "resume to go on" in events[-1]["message"]
    assert [event["name"] for event in events if event["event"] == "checkpoint"] == ["latest"]
    assert [file.name for file in (tmp_path / FOLD).glob("*.pth")] == ["checkpoint_latest.pth"]
    assert read_checkpoint(tmp_path / FOLD / "checkpoint_latest.pth")["segautoplan"]["iteration"] > 0


def test_a_users_mistake_is_refused_once_and_as_by_one_process(tmp_path, capsys):
    ball_workspace(tmp_path)
    arguments = [*TRAIN, "--gpus", "2", "--workspace", str(tmp_path)]
    arguments[2] = "4d"
    assert main(arguments) == 2
    sentence = capsys.readouterr().err
    assert main([argument for argument in arguments if argument not in ("--gpus", "2")]) == 2
    assert capsys.readouterr().err == sentence
    assert "4d" in sentence


def the_main_one_refuses(ranks: Ranks, _reporter: Reporter) -> None:
    with ranks.main_first():
        if ranks.is_main:
            raise UserInputError(f"{time.monotonic()}")
    raise AssertionError("the other process must not come here")


def the_other_one_crashes(ranks: Ranks, _reporter: Reporter) -> None:
    if not ranks.is_main:
        raise RuntimeError(f"out of memory at {time.monotonic()}")
    ranks.any_rank(False)


def the_other_one_is_killed(ranks: Ranks, _reporter: Reporter) -> None:
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


def test_a_process_that_is_killed_ends_all_with_a_sentence():
    with pytest.raises(RankFailed, match="Process 2 of 2 was killed by signal 9"):
        launch_ranks(the_other_one_is_killed, 2, "cpu")


def wait_in_a_collective(folder: Path, ranks: Ranks, _reporter: Reporter) -> None:
    (folder / f"{os.getpid()}").touch()
    if ranks.is_main:
        time.sleep(300)
    ranks.any_rank(False)


def test_the_processes_end_when_the_one_that_launched_them_is_killed(tmp_path):
    code = (
        "import sys; from functools import partial; from pathlib import Path\n"
        "from Testing.Engine.test_distributed import launch_ranks, wait_in_a_collective\n"
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


def test_every_option_reaches_the_processes(tmp_path, monkeypatch):
    ball_workspace(tmp_path)
    given = (
        f"train {NAME} 2d all --plans mine --recipe short --epochs 7 --iterations 8 --loss dice_bce --device cpu"
        " --gpus 2 --resume --pretrained a.pth --freeze encoder --save-probabilities"
        " --validate-only best --no-checkpoints --seed 3"
    )
    options = record(TrainOptions, build_parser().parse_args(given.split()))
    plain = TrainOptions("", "", 0)
    same = [field.name for field in fields(TrainOptions) if getattr(options, field.name) == getattr(plain, field.name)]
    assert same == [], "the arguments above leave these options as they are by default"
    sent = []

    def take(work: partial, count: int, device: str, _reporter: Reporter) -> None:
        sent.append((pickle.loads(pickle.dumps(work)), count, device))
        raise StopRequested

    monkeypatch.setattr(train_module, "find_loss", lambda *_, **__: None)
    monkeypatch.setattr(train_module, "read_pretrained", lambda *_: None)
    monkeypatch.setattr(train_module, "launch_ranks", take)
    with pytest.raises(StopRequested):
        train(Workspace.at(tmp_path), options)
    [(work, count, device)] = sent
    assert (options in work.args, count, device) == (True, 2, "cpu")


def leave_twice(rank: Rank, port: int, folder: Path) -> None:
    """Join and leave by either way, and write which threads of the group are left."""
    store = TCPStore(HOST, port, is_master=False)

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
    store = TCPStore(HOST, 0, is_master=True, wait_for_workers=False)
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
