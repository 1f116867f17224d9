"""Several processes train as one: they learn the same, only one of them speaks, and an error of any ends all."""

from __future__ import annotations

import functools
import json
import pickle
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import pytest
import torch

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.command_line import build_parser
from SegAutoPlanLib.command_line.arguments import record
from SegAutoPlanLib.dataset import load_dataset
from SegAutoPlanLib.errors import StopRequested, UserInputError
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.networks import read_checkpoint
from SegAutoPlanLib.pipeline import train as train_module
from SegAutoPlanLib.pipeline.fold_task import prepare_fold
from SegAutoPlanLib.pipeline.train import TrainOptions, train
from SegAutoPlanLib.progress import SILENT, Reporter
from SegAutoPlanLib.rank import Rank
from SegAutoPlanLib.runs import RunFolder
from SegAutoPlanLib.training import find_recipe
from SegAutoPlanLib.training.nodes import Nodes
from SegAutoPlanLib.workspace import Workspace

from .balls import NAME, ball_workspace
from .several_processes import events_of, one_thread_per_process, wait_for  # noqa: F401

REPOSITORY = Path(__file__).resolve().parents[2]
FOLD = f"results/{NAME}/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0"
TRAIN = ["train", NAME, "3d_fullres", "0", "--recipe", "short", "--device", "cpu"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "SegAutoPlanLib"]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED: several processes train on Linux only"
)


@dataclass(frozen=True)
class Pair:
    """What one process learned, what two learned, and how the two validated."""

    alone: dict
    together: dict
    run: Path
    """The run folder of the two."""
    summary: bytes
    """Of the two."""
    summary_of_one: bytes
    """That one process makes of the same weights."""


def balls_to_train_on(root: Path, batch_dice: bool) -> list[str]:
    """Make a workspace; the arguments that train in it."""
    path = ball_workspace(root).preprocessed / NAME / "nnUNetPlans.json"
    document = read_json(path)
    document["configurations"]["3d_fullres"]["batch_dice"] = batch_dice
    write_json(path, document)
    return [*TRAIN, "--epochs", "2", "--iterations", "2", "--workspace", str(root)]


@pytest.fixture(scope="module")
def learned_alone(tmp_path_factory):
    """What one process learns, with or without batch Dice."""

    @functools.cache
    def learned(batch_dice: bool) -> dict:
        root = tmp_path_factory.mktemp("alone")
        assert main(balls_to_train_on(root, batch_dice)) == 0
        return read_checkpoint(root / FOLD / "checkpoint_final.pth")

    return learned


@pytest.fixture(scope="module", params=["--gpus", "torchrun", "--nodes"])
def pair(request, tmp_path_factory, learned_alone) -> Pair:
    root = tmp_path_factory.mktemp("pair")
    batch_dice = request.param != "torchrun"
    arguments = balls_to_train_on(root, batch_dice)
    alone = learned_alone(batch_dice)
    run = root / "run"
    two = [*arguments, "--run-folder", str(run)]
    if request.param == "--gpus":
        assert main([*two, "--gpus", "2"]) == 0
    elif request.param == "torchrun":
        answer = subprocess.run([*TORCHRUN, *two], cwd=REPOSITORY, capture_output=True, text=True, timeout=240)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.count("finished") == 1, "the other process printed too"
    else:
        train_on_two_nodes(arguments, run)
    summary = root / FOLD / "validation" / "summary.json"
    written = summary.read_bytes()
    assert main([*arguments, "--validate-only"]) == 0
    return Pair(alone, read_checkpoint(root / FOLD / "checkpoint_final.pth"), run, written, summary.read_bytes())


def train_on_two_nodes(arguments: list[str], run: Path) -> None:
    """Two launchers, as on two computers; one rank is killed in the second epoch and all go on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [*arguments, "--nodes", "2", "--rendezvous", f"127.0.0.1:{port}"]
    runs = [run, run.with_name("run of the other")]
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "Testing.Engine.killed_rank", *arguments, "--run-folder", str(folder)],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for folder in runs
    ]
    for node in nodes:
        error = node.communicate(timeout=240)[1]
        assert node.returncode == 0, error
    told = [[event.get("message", "") for event in events_of(folder)] for folder in runs]
    assert sum("was killed by signal 9" in words for words in map(str, told)) == 1
    assert all("All processes were started again" in words for words in map(str, told))
    assert sum("from the last checkpoint" in words for words in map(str, told)) == 1
    assert sum("Continuing after epoch 1" in words for words in map(str, told)) == 1
    if "checkpoint" not in {event["event"] for event in events_of(run)}:
        # Which of the nodes holds the main process is drawn by lot.
        runs[0].rename(run.with_name("aside"))
        runs[1].rename(run)


def test_two_processes_equal_one(pair):
    for name, tensor in pair.alone["network_weights"].items():
        assert torch.allclose(tensor, pair.together["network_weights"][name], atol=2e-5), name
    dice = [content["logging"]["mean_fg_dice"] for content in (pair.alone, pair.together)]
    assert dice[1] == pytest.approx(dice[0], abs=1e-3)


def test_the_validation_that_two_share_out_is_that_of_one_to_the_bit(pair):
    assert len(json.loads(pair.summary)["metric_per_case"]) == 2
    assert pair.summary == pair.summary_of_one


def test_only_the_main_process_reports_and_it_finishes_once_after_validation(pair):
    run = pair.run
    events = events_of(run)
    names = [event["event"] for event in events]
    assert names.count("started") == names.count("finished") == 1
    assert names.count("preprocessed") == 1 + sum(
        "started again" in event.get("message", "") for event in events_of(run)
    )
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


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"nodes": 2}, "--rendezvous HOST:PORT"),
        ({"rendezvous": "node01:29400"}, "--nodes N"),
        ({"nodes": 2, "rendezvous": "node01"}, "from 1 to 65535"),
        ({"nodes": 2, "rendezvous": "node01:99999"}, "from 1 to 65535"),
        ({"nodes": 2, "rendezvous": "node01:²"}, "from 1 to 65535"),
        ({"nodes": 2, "rendezvous": "a b:1"}, "from 1 to 65535"),
    ],
)
def test_a_place_to_meet_that_is_none_is_refused(changes, named):
    with pytest.raises(UserInputError, match=named):
        TrainOptions("", "", 0, **changes)


def prepared(workspace, world: int, recipe: str):
    """A fold's task as the first of so many processes makes it."""
    options = TrainOptions(NAME, "3d_fullres", 0, recipe=recipe, device="cpu")
    raw = load_dataset(workspace.raw_folder(NAME))
    return prepare_fold(workspace, raw, find_recipe(recipe), options, Rank(0, world), SILENT)


@pytest.mark.parametrize(
    ("world", "recipe", "message"),
    [
        (3, "short", r"--gpus: 3 processes.* batch of 2; give at most 2"),
        (2, "batchnorm", r"--gpus: .* normalises over the batch.*; train in one process"),
    ],
)
def test_processes_that_cannot_share_a_batch_are_refused_before_anything_is_prepared(tmp_path, world, recipe, message):
    workspace = ball_workspace(tmp_path)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UserInputError, match=message):
        prepared(workspace, world, recipe)
    assert set(tmp_path.rglob("*")) == before
    assert prepared(workspace, world - 1, recipe).configuration.batch_size == 2


def test_every_option_reaches_the_processes(tmp_path, monkeypatch):
    ball_workspace(tmp_path)
    given = (
        f"train {NAME} 2d all --plans mine --recipe short --epochs 7 --iterations 8 --loss dice_bce --device cpu"
        " --gpus 2 --resume --pretrained a.pth --freeze encoder --save-probabilities"
        " --validate-only best --no-checkpoints --seed 3"
        " --nodes 2 --rendezvous localhost:29400 --precision full"
    )
    options = record(TrainOptions, build_parser().parse_args(given.split()))
    plain = TrainOptions("", "", 0)
    same = [field.name for field in fields(TrainOptions) if getattr(options, field.name) == getattr(plain, field.name)]
    # Which excludes two of the others.
    assert same == ["minutes"], "the arguments above leave these options as they are by default"
    sent = []

    def take(work: partial, count: int, device: str, _reporter: Reporter, nodes: Nodes, _restarts: int) -> None:
        sent.append((pickle.loads(pickle.dumps(work)), count, device, nodes.count, nodes.rendezvous))
        raise StopRequested

    monkeypatch.setattr(train_module, "find_loss", lambda *_, **__: None)
    monkeypatch.setattr(train_module, "read_pretrained", lambda *_: None)
    monkeypatch.setattr(train_module, "launch_ranks", take)
    with pytest.raises(StopRequested):
        train(Workspace.at(tmp_path), options)
    [(work, *how)] = sent
    assert options in work.args
    assert how == [2, "cpu", 2, "localhost:29400"]
