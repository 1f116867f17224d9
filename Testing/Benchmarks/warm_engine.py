"""One case from volume node to segmentation node: by the engine that stays ready, by a process of its own, by nnU-Net.

    python Testing/Benchmarks/warm_engine.py --model FOLDER --image FILE [--nnunet-python PATH] [--times N]

In the headless host of the tests, without mirroring, by turns; nnU-Net's is the command alone, from file to file,
start-up included. FOLDER is `…/Trainer__Plans__configuration` of one channel with one fold.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "SegAutoPlan")]

COMMAND_LIMIT_S = 180
NNUNET = "from nnunetv2.inference.predict_from_raw_data import predict_entry_point_modelfolder as run; run()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--nnunet-python")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    from Testing.Host import start_application

    host = start_application()
    host.load_module("SegAutoPlan")
    import slicer

    from SegAutoPlan import SegAutoPlanLogic

    volume = volume_of(host, options.image)
    logic = SegAutoPlanLogic(folder / "workspace")

    def segment(keep_seconds: float) -> Callable[[], None]:
        def run() -> None:
            import qt

            qt.QSettings().setValue("SegAutoPlan/keepEngineSeconds", keep_seconds)
            state = logic.waitFor(logic.segment([volume], options.model, mirroring=False), COMMAND_LIMIT_S)
            assert state.status == "finished", state
            assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
            host.process_events()

        return run

    ways = {"warm engine": segment(600), "a process of its own": segment(0)}
    if options.nnunet_python:
        ways["nnU-Net's command"] = lambda: nnunet(options, folder)
    first = seconds_of(ways["warm engine"])
    taken = {way: [] for way in ways}
    for _ in range(options.times):
        for way, run in ways.items():
            taken[way].append(seconds_of(run))
    logic.releaseEngine()
    show(taken, first)


def volume_of(host, image_file: Path):
    import SimpleITK as sitk
    from SegAutoPlanUI.scene.voxel_grid import VoxelGrid

    image = sitk.ReadImage(str(image_file))
    return host.slicer.util.addVolumeFromArray(
        sitk.GetArrayFromImage(image), ijkToRAS=VoxelGrid.ofImage(image).ijkToRas, name="image"
    )


def nnunet(options: argparse.Namespace, folder: Path) -> None:
    images = folder / "images"
    images.mkdir(exist_ok=True)
    link = images / f"case_0000{''.join(options.image.suffixes)}"
    if not link.exists():
        link.symlink_to(options.image.resolve())
    fold = next(path.name.removeprefix("fold_") for path in options.model.iterdir() if path.name.startswith("fold_"))
    # By turns every run has the same to do: no result of before.
    arguments = ["-i", images, "-o", folder / f"nnunet_{time.monotonic_ns()}", "-m", options.model, "-f", fold]
    arguments += ["--disable_tta", "-device", "cpu", "-npp", "1", "-nps", "1"]
    names = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    subprocess.run(
        [options.nnunet_python, "-c", NNUNET, *map(str, arguments)],
        env={**os.environ, **dict.fromkeys(names, str(folder))},
        check=True,
        capture_output=True,
        timeout=COMMAND_LIMIT_S,
    )


def seconds_of(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def show(taken: dict[str, list[float]], first: float) -> None:
    slowest = statistics.median(list(taken.values())[-1])
    print(f"The first case of the warm engine, which starts it and loads the model: {first:.2f} s\n")
    print(f"| | median, s | least, s | share of {list(taken)[-1]} |\n|---|---|---|---|")
    for way, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"| {way} | {median:.2f} | {min(seconds):.2f} | {median / slowest:.3f} |")


if __name__ == "__main__":
    main()
