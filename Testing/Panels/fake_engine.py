"""Stands in for the engine's process: takes the same command line, behaves as $FAKE_ENGINE says.

Run as `PYTHON_STAND_IN -m SegAutoPlanLib predict … --run-folder FOLDER`, or as `PYTHON_STAND_IN -m SegAutoPlanLib.serve
…`, which is the real one but for the work.

`succeed`: labels voxels above 100 with 1 and above 120 with 2 · `wait`: at 1 of 4 until it is asked to stop, or until
$FAKE_ENGINE_GATE exists, then succeeds · `stubborn`: the same, but deaf to STOP · `fail`: says why · `crash`: does not.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from SegAutoPlanLib.runs import RunReporter
from SegAutoPlanLib.runs.server import Server

LONGEST_WAIT_S = 60


def main(arguments: list[str]) -> int:
    options = dict(itertools.pairwise(arguments))
    if os.environ["FAKE_ENGINE"] == "crash":
        print("Traceback (most recent call last): a bug of ours")
        return 1
    if "SegAutoPlanLib.serve" in arguments:
        Server(sys.stdin, float(options["--idle-seconds"]), lambda order, report: work(order.arguments, report)).serve()
        return 0
    with RunReporter(options["--run-folder"], arguments) as report:
        return work(arguments, report)


def work(arguments: Sequence[str], report: RunReporter) -> int:
    behaviour, options = os.environ["FAKE_ENGINE"], dict(itertools.pairwise(arguments))
    if behaviour == "fail":
        message = "/models/x/fold_0/checkpoint_final.pth: the file is damaged."
        report.event("failed", message=message, hint="Copy the model again.")
        return 2
    report.progress("tiles", 1, 4, "tile", started=time.monotonic() - 30)
    if behaviour in ("wait", "stubborn") and not _wait_for_gate(report, deaf=behaviour == "stubborn"):
        report.event("stopped", message="stopped after 1 of 4 tiles")
        return 0
    _segment(Path(options["--input"]), Path(options["--output"]))
    report.progress("tiles", 4, 4, "tile", started=time.monotonic() - 60)
    report.event("finished", result={})
    return 0


def _wait_for_gate(report: RunReporter, deaf: bool) -> bool:
    gate = Path(os.environ["FAKE_ENGINE_GATE"])
    limit = time.monotonic() + LONGEST_WAIT_S
    while not gate.exists() and time.monotonic() < limit:
        if report.stop_requested() and not deaf:
            return False
        time.sleep(0.02)
    return True


def _segment(image_file: Path, output: Path) -> None:
    output.mkdir(parents=True)
    image = sitk.ReadImage(str(image_file))
    labels = sitk.Cast(image > 100, sitk.sitkUInt8) + sitk.Cast(image > 120, sitk.sitkUInt8)
    sitk.WriteImage(labels, str(output / "case.nii.gz"))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
