"""`predict`, ours and nnU-Net's, by turns in one run: seconds from the command to its end, and where labels differ.

    python Testing/Benchmarks/predicting.py --nnunet-python PATH --model FOLDER [--images FOLDER] [--cases 20]
        [--no-mirroring] [--threads 2] [--rounds 3]

Both take the same trained model (`…/Trainer__Plans__configuration`) and the same images, start-up included. Quote the
ratios of a quiet machine; processor time depends less on what else is done there. Of ours, a first call measures which
number format is the fastest, and later ones know it.
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
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT.parent / "shared" / "data" / "Dataset004_Hippocampus" / "imagesTr"
NNUNET = "nnU-Net"
FULL, FIRST, LATER = "SegAutoPlan, --precision full", "SegAutoPlan, first call", "SegAutoPlan, later"


@dataclass
class Measured:
    """What one side took, and the labels it found last."""

    results: Path
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def line(self, name: str, nnunet: Measured) -> str:
        wall, processor = statistics.median(self.wall), statistics.median(self.processor)
        return (
            f"| {name} | {wall:.1f} | {wall / statistics.median(nnunet.wall):.3f} | {processor:.1f} "
            f"| {processor / statistics.median(nnunet.processor):.3f} "
            f"| {differing(self.results, nnunet.results)} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", type=Path, required=True, help="an interpreter with nnunetv2 2.8.1")
    parser.add_argument("--model", type=Path, required=True, help="a trained model; its first fold is used")
    parser.add_argument("--images", type=Path, default=IMAGES, help="files CASE_0000.nii.gz …")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--mirroring", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--threads", type=int, default=2, help="of a network's computation")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        compare(chosen, Path(work))


def compare(chosen: argparse.Namespace, work: Path) -> None:
    images = work / "images"
    images.mkdir()
    names = sorted({file.name.rpartition("_")[0] for file in chosen.images.glob("*.nii.gz")})[: chosen.cases]
    for name in names:
        for file in chosen.images.glob(f"{name}_*.nii.gz"):
            shutil.copy(file, images)
    [fold, *_] = sorted(chosen.model.glob("fold_*"))
    measured = {name: Measured(work / f"results {place}") for place, name in enumerate((NNUNET, FULL, FIRST, LATER))}
    for _ in range(chosen.rounds):
        shutil.rmtree(work / "workspace", ignore_errors=True)
        (work / "workspace" / "runs").mkdir(parents=True)
        for name, side in measured.items():
            shutil.rmtree(side.results, ignore_errors=True)
            command = nnunet_command if name == NNUNET else our_command
            number = fold.name.removeprefix("fold_")
            run(side, command(chosen, images, side.results, number, work, name == FULL), chosen.threads)
    print("| | wall, s | share | processor, s | share | voxels with another label |\n|---|---|---|---|---|---|")
    for name, side in measured.items():
        print(side.line(name, measured[NNUNET]), flush=True)


def nnunet_command(chosen: argparse.Namespace, images: Path, results: Path, fold: str, _: Path, __: bool) -> list[str]:
    # On a CPU nnU-Net takes as many threads as there are cores, whatever it is told.
    threads = f"import multiprocessing; multiprocessing.cpu_count = lambda: {chosen.threads}; "
    entry = "from nnunetv2.inference.predict_from_raw_data import predict_entry_point_modelfolder as run; run()"
    command = [
        str(chosen.nnunet_python),
        "-c",
        threads + entry,
        "-i",
        str(images),
        "-o",
        str(results),
        "-m",
        str(chosen.model),
    ]
    return [*command, "-f", fold, "-device", "cpu", *([] if chosen.mirroring else ["--disable_tta"])]


def our_command(
    chosen: argparse.Namespace, images: Path, results: Path, fold: str, work: Path, full: bool
) -> list[str]:
    command = [sys.executable, "-m", "SegAutoPlanLib", "predict", "--model", str(chosen.model)]
    command += ["--input", str(images), "--output", str(results), "--folds", fold, "--device", "cpu"]
    command += ["--mirroring" if chosen.mirroring else "--no-mirroring", "--precision", "full" if full else "auto"]
    return [*command, "--workspace", str(work / "workspace")]


def run(side: Measured, command: list[str], threads: int) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    before, started = processor_seconds(), time.perf_counter()
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    side.wall.append(time.perf_counter() - started)
    side.processor.append(processor_seconds() - before)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def processor_seconds() -> float:
    """Of all that has ended, with the processes that it started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def differing(results: Path, others: Path) -> str:
    import SimpleITK as sitk

    different = voxels = 0
    for file in sorted(others.glob("*.nii.gz")):
        labels, found = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / file.name))) for folder in (results, others)
        )
        different, voxels = different + int((labels != found).sum()), voxels + labels.size
    return f"{different} of {voxels}"


if __name__ == "__main__":
    main()
