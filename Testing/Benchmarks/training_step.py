"""A training step, ours and nnU-Net's, by turns in one run: seconds with the data, and peak memory.

    python Testing/Benchmarks/training_step.py --nnunet-python PATH [--data FOLDER] [--steps 10] [--threads 2]

Hippocampus, 3d_fullres, each system's own preprocessed cases, its default recipe and its own trainer. Each lives in a
process of its own and takes a step when it is told to, so that both see the same minutes of a shared machine. With
`--threads 1` the processor time does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATASET = "Dataset004_Hippocampus"
CONFIGURATION = "3d_fullres"
WARM_UP = 1
"""Steps that are not counted: kernels are made and memory is got."""


@dataclass
class Measured:
    """What one side said of its steps."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    megabytes: float = 0.0

    def line(self, name: str, nnunet: Measured) -> str:
        wall, processor = statistics.median(self.wall), statistics.median(self.processor)
        return (
            f"| {name} | {wall:.2f} | {wall / statistics.median(nnunet.wall):.3f} | {processor:.2f} "
            f"| {processor / statistics.median(nnunet.processor):.3f} | {self.megabytes:.0f} "
            f"| {self.megabytes / nnunet.megabytes:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", type=Path, help="an interpreter with nnunetv2 2.8.1")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="raw datasets")
    parser.add_argument("--work", type=Path, help="a folder for what is prepared (default: a temporary one)")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--take-steps", choices=SIDES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.take_steps:
        SIDES[chosen.take_steps](chosen.work)
        return
    if chosen.nnunet_python is None:
        parser.error("--nnunet-python is needed")
    with tempfile.TemporaryDirectory() as temporary:
        compare(chosen, chosen.work or Path(temporary))


def compare(chosen: argparse.Namespace, work: Path) -> None:
    pythons = dict.fromkeys(SIDES, Path(sys.executable)) | {"nnunet": chosen.nnunet_python}
    sides = {}
    for name, python in pythons.items():
        folder = work / name
        if not (folder / "preprocessed" / DATASET).is_dir():
            prepare(name, python, chosen.data, folder)
        sides[name] = Side(name, python, chosen.data, folder, chosen.threads)
    measured = {name: Measured() for name in sides}
    for _ in range(chosen.steps + WARM_UP):
        for name, side in sides.items():
            side.step(measured[name])
    for side in sides.values():
        side.end()
    print("| | wall, s | share | processor, s | share | peak memory, MB | share |\n|---|---|---|---|---|---|---|")
    for name, each in measured.items():
        print(each.line(name, measured["nnunet"]), flush=True)


def environment(raw: Path, folder: Path, threads: int) -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": str(ROOT),
        "SEGAUTOPLAN_WORKSPACE": str(folder),
        "nnUNet_raw": str(raw),
        "nnUNet_preprocessed": str(folder / "preprocessed"),
        "nnUNet_results": str(folder / "results"),
        "nnUNet_n_proc_DA": "0",
        "nnUNet_compile": "f",
    }


def prepare(name: str, python: Path, raw: Path, folder: Path) -> None:
    if name == "nnunet":
        module = "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints"
        code = f"from {module} import plan_and_preprocess_entry as run; run()"
        command = ["-c", code, "-d", "4", "-c", CONFIGURATION, "-np", "2", "-npfp", "2", "--no_pbar"]
    else:
        command = ["-m", "SegAutoPlanLib", "preprocess", "4", "--configurations", CONFIGURATION]
    folder.mkdir(parents=True, exist_ok=True)
    # nnU-Net's planner takes no 0 for the number of its loading processes.
    env = environment(raw, folder, 2) | {"nnUNet_n_proc_DA": "1"}
    subprocess.run([str(python), *command], env=env, check=True, stdout=subprocess.DEVNULL)


class Side:
    """A process that takes a step when it is told to."""

    def __init__(self, name: str, python: Path, raw: Path, folder: Path, threads: int) -> None:
        self._process = subprocess.Popen(
            [str(python), __file__, "--take-steps", name, "--work", str(folder)],
            env=environment(raw, folder, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._steps = 0

    def step(self, measured: Measured) -> None:
        answer = self._ask("step")
        self._steps += 1
        if self._steps > WARM_UP:
            measured.wall.append(answer["wall"])
            measured.processor.append(answer["processor"])
        measured.megabytes = answer["megabytes"]

    def end(self) -> None:
        print("end", file=self._process.stdin, flush=True)
        self._process.wait()

    def _ask(self, word: str) -> dict[str, float]:
        print(word, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("{"):  # nnU-Net prints
                return json.loads(line)
        raise SystemExit(f"{self._process.args} ended with {self._process.wait()}")


class Clock:
    """Runs from when it is made until it tells."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def tell(self) -> None:
        wall, processor = time.perf_counter() - self._wall, time.process_time() - self._processor
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps({"wall": wall, "processor": processor, "megabytes": megabytes}), flush=True)


def is_told_to_go_on() -> bool:
    return sys.stdin.readline().strip() == "step"


def nnunet_steps(folder: Path) -> None:
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    dataset = folder / "preprocessed" / DATASET
    plans = json.loads((dataset / "nnUNetPlans.json").read_text())
    plans["continue_training"] = False
    description = json.loads((dataset / "dataset.json").read_text())
    trainer = nnUNetTrainer(plans, CONFIGURATION, 0, description, device=torch.device("cpu"))
    trainer.initialize()
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    while is_told_to_go_on():
        clock = Clock()
        trainer.train_step(next(trainer.dataloader_train))
        clock.tell()


def our_steps(folder: Path, precision: str) -> None:
    """The whole of `train`: its loop asks at every step whether to stop, and waits here for the answer."""
    from SegAutoPlanLib.allocator import keep_freed_memory
    from SegAutoPlanLib.errors import StopRequested
    from SegAutoPlanLib.pipeline.train import TrainOptions, train
    from SegAutoPlanLib.progress import Reporter
    from SegAutoPlanLib.workspace import Workspace

    class StepByStep(Reporter):
        def __init__(self) -> None:
            self.in_loop, self.clock = False, None

        def event(self, kind: str, **fields: object) -> None:
            self.in_loop = self.in_loop or kind == "preprocessed"
            if kind == "number_format":
                print(fields["message"], file=sys.stderr)

        def stop_requested(self) -> bool:
            if not self.in_loop:
                return False
            if self.clock is not None:
                self.clock.tell()
            is_end = not is_told_to_go_on()
            self.clock = Clock()
            return is_end

    keep_freed_memory()
    options = TrainOptions(DATASET, CONFIGURATION, 0, device="cpu", checkpoints=False, precision=precision)
    with contextlib.suppress(StopRequested):
        train(Workspace.locate(), options, StepByStep())


SIDES: dict[str, Callable[[Path], None]] = {
    "nnunet": nnunet_steps,
    "ours-float32": partial(our_steps, precision="full"),
    "ours": partial(our_steps, precision="auto"),
}


if __name__ == "__main__":
    main()
