"""Several processes, one a GPU, through torch's own launcher."""

from __future__ import annotations

import subprocess
import sys

import torch

from ..errors import UserInputError


def launch_ranks(count: int) -> str:
    """Run this command line again as `count` processes under torchrun and wait for them.

    Raises:
        UserInputError: fewer GPUs than asked for, no Linux, or the processes failed.
    """
    if not sys.platform.startswith("linux"):
        raise UserInputError("--gpus: training on several GPUs works on Linux only; use --gpus 1.")
    if torch.cuda.device_count() < count and "cpu" not in sys.argv:
        raise UserInputError(f"--gpus {count}: torch finds {torch.cuda.device_count()} GPU(s) here; give at most that.")
    arguments = _without_gpus(sys.argv[1:])
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}", "-m", "SegAutoPlanLib"]
    code = subprocess.run([sys.executable, *launcher, *arguments], check=False).returncode
    if code != 0:
        raise UserInputError(f"--gpus {count}: the processes ended with exit code {code}; their messages are above.")
    return f"Trained by {count} processes."


def _without_gpus(arguments: list[str]) -> list[str]:
    position = arguments.index("--gpus") if "--gpus" in arguments else None
    if position is None:
        return [argument for argument in arguments if not argument.startswith("--gpus=")]
    return arguments[:position] + arguments[position + 2 :]
