"""How fast a computer trains: a random batch in place of loaded ones, and the result in nnU-Net's form."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ..files import write_json
from .distributed import Ranks
from .epoch_log import EpochLog
from .rehearsal import local_batch_size, random_batch
from .task import TrainingTask

RESULT_FILE = "benchmark_result.json"


class RandomBatch:
    """The same random batch again and again, already on the device: a training that loads nothing.

    In place of a `batches.BatchStream`: images (b, c, *patch) float32, labels (b, *patch) int16.
    """

    def __init__(self, task: TrainingTask, device: torch.device, ranks: Ranks) -> None:
        images, labels = random_batch(task, local_batch_size(task, ranks))
        self._batch = images.to(device), labels.to(device)

    def __enter__(self) -> RandomBatch:
        return self

    def __exit__(self, _kind: object, _error: object, _trace: TracebackType | None) -> None:
        pass

    def __iter__(self) -> RandomBatch:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        return self._batch


def write_benchmark(folder: Path, log: Sequence[EpochLog], device: torch.device, ranks: Ranks) -> Path:
    """Write the seconds of the fastest epoch and what it was measured on; returns the file."""
    host = platform.node()
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else platform.processor() or platform.machine()
    path = folder / RESULT_FILE
    entry = {
        "torch_version": str(torch.__version__),
        "cudnn_version": torch.backends.cudnn.version() if on_gpu else None,
        "gpu_name": name,
        "fastest_epoch": min(epoch.ended - epoch.started for epoch in log),
        "num_gpus": ranks.world,
        "hostname": host,
    }
    write_json(path, {f"{host}__{entry['torch_version']}__{name.replace(' ', '')}__num_gpus_{ranks.world}": entry})
    return path
