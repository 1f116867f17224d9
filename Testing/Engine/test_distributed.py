"""Two processes with half a batch each learn what one process learns with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.networks import read_checkpoint

from .balls import NAME, ball_workspace

REPOSITORY = Path(__file__).resolve().parents[2]
FINAL = f"results/{NAME}/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth"


def train(root: Path, *launcher: str) -> dict:
    verb = ["train", NAME, "3d_fullres", "0", "--recipe", "short", "--epochs", "1", "--iterations", "3"]
    command = [sys.executable, *launcher, "-m", "SegAutoPlanLib", *verb, "--device", "cpu", "--workspace", str(root)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert answer.returncode == 0, answer.stderr
    return read_checkpoint(root / FINAL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NOT TESTED: several processes train on Linux only")
@pytest.mark.parametrize("batch_dice", [True, False])
def test_two_processes_equal_one(tmp_path, batch_dice):
    workspace = ball_workspace(tmp_path)
    path = workspace.preprocessed / NAME / "nnUNetPlans.json"
    document = read_json(path)
    document["configurations"]["3d_fullres"]["batch_dice"] = batch_dice
    write_json(path, document)
    alone = train(tmp_path)
    together = train(tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    for name, tensor in alone["network_weights"].items():
        assert torch.allclose(tensor, together["network_weights"][name], atol=2e-5), name
    assert together["logging"]["mean_fg_dice"] == pytest.approx(alone["logging"]["mean_fg_dice"], abs=1e-3)
