"""Does the fingerprint's memory grow with the number of cases? It must not.

    python Testing/Benchmarks/fingerprint_memory.py [--cases 10 40 160]

Each case is 96³ voxels of float noise, so that no value repeats: the worst case for keeping samples as counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
SIZE = 96
# The child tells its own peak: that of one process, threads included.
COMMAND = (
    "import resource, sys; from SegAutoPlanLib.__main__ import main;"
    "code = main(sys.argv[1:]);"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024); sys.exit(code)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[10, 40, 160])
    print("| cases | time, s | peak memory, MB |\n|---|---|---|")
    for count in parser.parse_args().cases:
        with tempfile.TemporaryDirectory() as folder:
            write_noise(Path(folder) / "raw" / "Dataset900_Noise", count)
            seconds, megabytes = measure(Path(folder))
        print(f"| {count} | {seconds:.1f} | {megabytes} |", flush=True)


def write_noise(folder: Path, count: int) -> None:
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    labels = np.zeros((SIZE,) * 3, np.uint8)
    labels[16:-16, 16:-16, 16:-16] = 1
    for number in range(count):
        noise = np.random.default_rng(number).normal(size=labels.shape).astype(np.float32)
        sitk.WriteImage(sitk.GetImageFromArray(noise), str(folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz"))
        sitk.WriteImage(sitk.GetImageFromArray(labels), str(folder / "labelsTr" / f"case_{number:03d}.nii.gz"))
    description = {
        "channel_names": {"0": "noise"},
        "labels": {"background": 0, "cube": 1},
        "numTraining": count,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def measure(workspace: Path) -> tuple[float, int]:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "fingerprint", "900", "--workspace", str(workspace), "--workers", "2"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return time.monotonic() - started, int(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
