"""What the checks of trust cost a clean run: two checkouts by turns, the same verbs on the same sound data.

    python Testing/Benchmarks/clean_run.py --before CHECKOUT [--after CHECKOUT] [--data FOLDER] [--rounds N] [VERB …]

Each verb runs in a process of its own through the command line. Wall time and processor time (of the process and its
children) are medians over the rounds; on a shared machine the second is the steadier one.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATASET = "Dataset004_Hippocampus"
PLANS = "smallPlans"
CASES = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout")
    parser.add_argument("--after", type=Path, default=ROOT, help="another one (default: this one)")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of raw datasets")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("verbs", nargs="*", help=f"of {', '.join(JOBS)} (default: all)")
    chosen = parser.parse_args()
    checkouts = {"before": chosen.before.resolve(), "after": chosen.after.resolve()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(checkouts["after"], chosen.data.resolve() / DATASET, folder)
        print(f"{'':<12} {'before':>8} {'after':>8} {'ratio':>6}   processor: {'before':>8} {'after':>8} {'ratio':>6}")
        for name in chosen.verbs or JOBS:
            measured = {side: ([], []) for side in checkouts}
            for turn in range(chosen.rounds):
                # Whoever is first in a round is last in the next.
                for side in list(checkouts)[:: 1 if turn % 2 else -1]:
                    for values, value in zip(measured[side], run(checkouts[side], name, folder), strict=True):
                        values.append(value)
            show(name, *measured.values())
    return 0


def prepare(checkout: Path, raw: Path, folder: Path) -> None:
    """A trained model, cases to segment, and two folders of label maps to compare."""
    common = ("--workspace", folder / "trained")
    verb(checkout, "plan", raw, "--gpu-memory-gb", "0.2", "--plans", PLANS, *common)
    short = ("--recipe", "short", "--epochs", "1", "--iterations", "2", "--device", "cpu")
    verb(checkout, "train", raw, "3d_fullres", "0", "--plans", PLANS, *short, *common)
    (folder / "images").mkdir()
    for file in sorted((raw / "imagesTr").iterdir())[:CASES]:
        shutil.copy(file, folder / "images")
    shutil.copytree(raw, folder / "raw" / DATASET)
    shutil.copytree(raw / "labelsTr", folder / "segmentations")
    shutil.copy(raw / "dataset.json", folder / "segmentations")


def run(checkout: Path, name: str, folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of one verb, in an empty workspace."""
    workspace = folder / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    verb(checkout, *JOBS[name](folder), "--workspace", workspace)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def verb(checkout: Path, *arguments: Any) -> None:
    """One call of the command line."""
    command = [sys.executable, "-m", "SegAutoPlanLib", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(command[2:])}\n{done.stderr[-2000:]}")


def model(folder: Path) -> Path:
    """The trained one."""
    return folder / "trained" / "results" / DATASET / f"nnUNetTrainer__{PLANS}__3d_fullres"


JOBS = {
    "check": lambda folder: ("check", folder / "raw" / DATASET),
    "preprocess": lambda folder: ("preprocess", folder / "raw" / DATASET),
    "predict": lambda folder: (
        *("predict", "--model", model(folder), "--input", folder / "images"),
        *("--output", folder / "workspace" / "out", "--device", "cpu"),
    ),
    "evaluate": lambda folder: (
        *("evaluate", folder / "raw" / DATASET / "labelsTr", folder / "segmentations"),
        *("--output", folder / "workspace" / "summary.json"),
    ),
}
"""Fingerprint and plan are part of preprocessing."""


def show(name: str, before: tuple[list[float], ...], after: tuple[list[float], ...]) -> None:
    """One line of medians."""
    figures = [[statistics.median(values) for values in side] for side in (before, after)]
    (wall, processor), (wall_after, processor_after) = figures
    print(
        f"{name:<12} {wall:8.2f} {wall_after:8.2f} {wall_after / wall:6.3f}   "
        f"           {processor:8.2f} {processor_after:8.2f} {processor_after / processor:6.3f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
