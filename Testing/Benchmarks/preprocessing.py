"""Fingerprint, plan and preprocessing, ours and nnU-Net's side by side: time and memory.

    python Testing/Benchmarks/preprocessing.py --nnunet-python PATH [--data FOLDER] [--jobs …] [--repeats 3]

The two run by turns, each in processes of its own and with two workers; imports and reading are part of the time.
Memory is the peak, over time, of what all processes of the job hold together (proportional set size, Linux).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORKERS = "2"
SECONDS_BETWEEN_LOOKS = 0.05
CT_NAME, CT_SPACING_MM = "Dataset900_SyntheticCT", 1.5
JOBS = {"hippocampus": "Dataset004_Hippocampus", "sts-mr": "Dataset501_STS_MR", "ct": CT_NAME}


@dataclass(frozen=True)
class Measurement:
    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", type=Path, required=True, help="an interpreter with nnunetv2 2.8.1")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="raw datasets")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, help="a folder for the results (default: a temporary one)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = chosen.work or Path(temporary)
        print("| job | | time, s | peak memory, MB | times faster | share of the memory |\n|---|---|---|---|---|---|")
        for job in chosen.jobs:
            compare(job, chosen, work)


def compare(job: str, chosen: argparse.Namespace, work: Path) -> None:
    raw = chosen.data
    if job == "ct":
        raw = work / "raw"
        make_synthetic_ct(raw / CT_NAME)
    taken: dict[str, list[Measurement]] = {"nnU-Net": [], "SegAutoPlan": []}
    for _ in range(chosen.repeats):
        taken["nnU-Net"].append(measure(nnunet_command(job, chosen.nnunet_python), job, raw, work / "nnunet"))
        taken["SegAutoPlan"].append(measure(our_command(job), job, raw, work / "ours"))
    median = {
        name: Measurement(*(statistics.median(getattr(m, part) for m in list_) for part in ("seconds", "megabytes")))
        for name, list_ in taken.items()
    }
    theirs, ours = median["nnU-Net"], median["SegAutoPlan"]
    print(f"| {job} | nnU-Net | {theirs.seconds:.1f} | {theirs.megabytes:.0f} | | |")
    print(
        f"| | SegAutoPlan | {ours.seconds:.1f} | {ours.megabytes:.0f} "
        f"| {theirs.seconds / ours.seconds:.1f} | {ours.megabytes / theirs.megabytes:.2f} |",
        flush=True,
    )


def our_command(job: str) -> list[str]:
    return [sys.executable, str(Path(__file__)), "--run-ours", job]


def nnunet_command(job: str, python: Path) -> list[str]:
    dataset = str(int(JOBS[job][7:10]))
    if job == "ct":
        call = "preprocess_entry"
        arguments = ["-d", dataset, "-c", "3d_fullres", "-np", WORKERS, "--no_pbar"]
    else:
        call = "plan_and_preprocess_entry"
        arguments = ["-d", dataset, "-c", "2d", "3d_fullres", "-np", WORKERS, "-npfp", WORKERS, "--no_pbar"]
    code = f"from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import {call} as run; run()"
    return [str(python), "-c", code, *arguments]


def measure(command: list[str], job: str, raw: Path, out: Path) -> Measurement:
    """Run a command in an empty results folder and watch it and its children."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if job == "ct":
        prepare_ct_plan(raw, out)
    environment = {
        **os.environ,
        "nnUNet_raw": str(raw),
        "nnUNet_preprocessed": str(out),
        "nnUNet_results": str(out / "results"),
        "PYTHONPATH": str(ROOT),
    }
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    peak = PeakMemory(process.pid)
    output, _ = process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{output.decode()[-3000:]}")
    return Measurement(seconds, peak.stop() / 1e6)


class PeakMemory:
    """Looks at a process and its descendants until stopped."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._done = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(SECONDS_BETWEEN_LOOKS):
            self._peak = max(self._peak, sum(map(proportional_bytes, family(self._pid))))

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._peak


def family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # it ended while we looked
    return found


def proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it ended while we looked
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def make_synthetic_ct(folder: Path) -> None:
    """One CT-like volume, 512 x 512 x 400 at 0.7 x 0.7 x 1.0 mm: a body with organs and noise, two of them labelled."""
    if (folder / "dataset.json").is_file():
        return
    import json

    import numpy as np
    import SimpleITK as sitk

    random = np.random.default_rng(0)
    z, y, x = np.ogrid[-1:1:400j, -1:1:512j, -1:1:512j]

    def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
        return sum((axis - c) ** 2 for axis, c in zip((z, y, x), centre, strict=True)) < radius**2

    image = np.full((400, 512, 512), -1000, np.int16)
    labels = np.zeros(image.shape, np.uint8)
    image[np.broadcast_to(y**2 + x**2 < 0.7, image.shape)] = 40
    for label, centre, radius, hounsfield in ((1, (0, 0.2, -0.3), 0.35, 110), (2, (0.1, -0.3, 0.3), 0.2, 180)):
        inside = ball(centre, radius)
        image[inside], labels[inside] = hounsfield, label
    image += random.normal(0, 12, image.shape).astype(np.int16)
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "spleen": 2},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    for array, name in ((image, "imagesTr/ct_0000.nii.gz"), (labels, "labelsTr/ct.nii.gz")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        volume = sitk.GetImageFromArray(array)
        volume.SetSpacing((0.7, 0.7, 1.0))
        sitk.WriteImage(volume, str(folder / name), useCompression=True)
    (folder / "dataset.json").write_text(json.dumps(description))


def prepare_ct_plan(raw: Path, out: Path) -> None:
    """Both sides preprocess by one plan, made beforehand from a made-up fingerprint of this volume."""
    sys.path.insert(0, str(ROOT))
    from SegAutoPlanLib.dataset import load_dataset
    from SegAutoPlanLib.files import write_json
    from SegAutoPlanLib.fingerprint import Fingerprint, Intensities, write_fingerprint
    from SegAutoPlanLib.planning import plan_experiments, write_plan

    dataset = load_dataset(raw / CT_NAME)
    intensities = Intensities(
        max=240.0, mean=125.0, median=113.0, min=50.0, percentile_00_5=80.0, percentile_99_5=210.0, std=30.0
    )
    fingerprint = Fingerprint(((1.0, 0.7, 0.7),), ((400, 512, 512),), (intensities,), 1.0)
    plan = plan_experiments(fingerprint, dataset, target_spacing=(CT_SPACING_MM,) * 3)
    write_fingerprint(fingerprint, out / CT_NAME / "dataset_fingerprint.json")
    write_json(out / CT_NAME / "dataset.json", dataset.dataset_json.document)
    write_plan(plan, out / CT_NAME / f"{plan.plans_name}.json")


def run_ours(job: str) -> None:
    """What a person's `fingerprint`, `plan` and `preprocess` do, in this process."""
    from SegAutoPlanLib.dataset import load_dataset
    from SegAutoPlanLib.fingerprint import extract_fingerprint, write_fingerprint
    from SegAutoPlanLib.planning import plan_experiments, read_plan
    from SegAutoPlanLib.preprocessing import preprocess_dataset
    from SegAutoPlanLib.workspace import Workspace

    workspace = Workspace.locate()
    out = workspace.preprocessed
    dataset = load_dataset(workspace.raw / JOBS[job])
    if job == "ct":
        plan = read_plan(out / dataset.name / "nnUNetPlans.json")
        preprocess_dataset(dataset, plan, out, ["3d_fullres"], int(WORKERS))
        return
    fingerprint = extract_fingerprint(dataset, int(WORKERS))
    write_fingerprint(fingerprint, out / dataset.name / "dataset_fingerprint.json")
    preprocess_dataset(dataset, plan_experiments(fingerprint, dataset), out, ["2d", "3d_fullres"], int(WORKERS))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run-ours"]:
        run_ours(sys.argv[2])
    else:
        main()
