"""From logits to labels on the image's grid, ours and nnU-Net's, by turns in one run: seconds and memory.

    OMP_NUM_THREADS=1 python Testing/Benchmarks/export.py --nnunet-python PATH [--cases …] [--repeats 3]

All read the same logits: compact objects of every class in a background, with smooth and fine noise (`organs`, `ct`),
or noise alone, where all neighbours disagree (`noise`). Every measurement is a process of its own that has the logits
in memory before the clock starts; what it holds beyond them is its memory. With one thread the processor time does not
depend on what else the machine does. nnU-Net would need 74 GB for `ct`, so it is left out there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SPACING_MM = 1.5


@dataclass(frozen=True)
class Case:
    classes: int
    shape: tuple[int, int, int]
    """Of the network's grid."""
    image_shape: tuple[int, int, int]
    objects: bool = True
    sides: tuple[str, ...] = ("nnunet", "slabs", "ours")

    @property
    def image_spacing(self) -> list[float]:
        return [SPACING_MM * old / new for old, new in zip(self.shape, self.image_shape, strict=True)]


CASES = {
    "organs": Case(60, (100, 160, 160), (150, 240, 240)),
    "noise": Case(60, (100, 160, 160), (150, 240, 240), objects=False),
    "ct": Case(118, (200, 170, 170), (512, 512, 600), sides=("ours",)),
}
NAMES = {"nnunet": "nnU-Net", "slabs": "all classes interpolated, slab by slab", "ours": "SegAutoPlan"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", type=Path, help="an interpreter with nnunetv2 2.8.1; without it ours alone")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, help="a folder for the logits (default: a temporary one)")
    parser.add_argument("--run", nargs=2, metavar=("SIDE", "CASE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        run(*chosen.run, chosen.work)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = chosen.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        print("| logits | | processor, s | times faster | wall, s | memory beyond the logits, MB | in all, MB |")
        print("|---|---|---|---|---|---|---|")
        for name in chosen.cases:
            compare(name, chosen, work)


def compare(name: str, chosen: argparse.Namespace, work: Path) -> None:
    sides = [side for side in CASES[name].sides if chosen.nnunet_python or side != "nnunet"]
    share = make_logits(name, work)
    measured = {side: [] for side in sides}
    for _ in range(chosen.repeats):
        for side in sides:
            python = chosen.nnunet_python if side == "nnunet" else sys.executable
            command = [str(python), __file__, "--work", str(work), "--run", side, name]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
            measured[side].append(json.loads(output.splitlines()[-1]))
    median = {
        side: {key: statistics.median(each[key] for each in list_) for key in list_[0]}
        for side, list_ in measured.items()
    }
    label = f"`{name}`, {share:.0%} of cells disagree"
    for side, each in median.items():
        faster = f"{median['nnunet']['processor'] / each['processor']:.1f}" if "nnunet" in median else ""
        print(
            f"| {label} | {NAMES[side]} | {each['processor']:.2f} | {faster} | {each['wall']:.2f} "
            f"| {each['megabytes']:.0f} | {each['in_all']:.0f} |",
            flush=True,
        )
        label = ""
    for side in sides[:-1]:
        differing = np.load(work / f"{side}.npy") != np.load(work / "ours.npy")
        print(f"<!-- {name}: {differing.sum()} of {differing.size} labels differ from those of {NAMES[side]} -->")
    (work / f"{name}.npy").unlink()


def make_logits(name: str, work: Path) -> float:
    """Write the logits; the share of the cells of the network's grid whose corners disagree."""
    case, random = CASES[name], np.random.default_rng(0)
    logits = np.lib.format.open_memmap(work / f"{name}.npy", "w+", np.float32, (case.classes, *case.shape))
    places = [np.arange(size) / min(case.shape) for size in case.shape]
    winners = np.zeros(case.shape, np.uint8)
    largest = np.full(case.shape, -np.inf, np.float32)
    for label in range(case.classes):
        values = random.standard_normal(case.shape, np.float32)
        if case.objects:
            values *= 0.3
            values += zoomed(
                random.standard_normal([max(2, size // 12) for size in case.shape], np.float32), case.shape
            )
            values += 4 if label == 0 else ball(random, places)
        winners[values > largest] = label
        np.maximum(largest, values, out=largest)
        logits[label] = values
    logits.flush()
    return share_of_disagreeing_cells(winners)


def zoomed(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    for axis, size in enumerate(shape):
        at = np.linspace(0, values.shape[axis] - 1, size, dtype=np.float32)
        lower = np.minimum(at.astype(int), values.shape[axis] - 2)
        weight = (at - lower).reshape([-1 if a == axis else 1 for a in range(3)])
        values = values.take(lower, axis) * (1 - weight) + values.take(lower + 1, axis) * weight
    return values


def ball(random: np.random.Generator, places: list[np.ndarray]) -> np.ndarray:
    """An ellipsoid's logits: falling off linearly on both sides of its surface, then flat."""
    radius, scales = random.uniform(0.05, 0.25), random.uniform(0.6, 1.6, 3)
    squares = [
        (scale * (at - random.uniform(0.05, 0.95) * at[-1])) ** 2 for scale, at in zip(scales, places, strict=True)
    ]
    distance = np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2])
    return np.clip(60 * (radius - distance), -10, 10).astype(np.float32) + 2


def share_of_disagreeing_cells(labels: np.ndarray) -> float:
    least = most = labels
    for axis in range(3):
        count = labels.shape[axis] - 1
        least = np.minimum(least.take(range(count), axis), least.take(range(1, count + 1), axis))
        most = np.maximum(most.take(range(count), axis), most.take(range(1, count + 1), axis))
    return float((least != most).mean())


def run(side: str, name: str, work: Path) -> None:
    import torch

    logits = torch.from_numpy(np.load(work / f"{name}.npy"))
    work_to_do = SIDES[side](logits, CASES[name])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    wall, processor = time.perf_counter(), time.process_time()
    labels = work_to_do()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = memory("VmHWM")
    megabytes = {"megabytes": (peak - before) * 1024 / 1e6, "in_all": peak * 1024 / 1e6}
    measured = {"wall": wall, "processor": processor, **megabytes}
    np.save(work / f"{side}.npy", labels)
    print(json.dumps(measured))


def memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def prepare_nnunet(logits, case: Case) -> Callable[[], np.ndarray]:
    import torch
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "architecture": {},
        "spacing": [SPACING_MM] * 3,
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling,
    }
    order = [0, 1, 2]
    plans = PlansManager(
        {
            "dataset_name": "Dataset001_Export",
            "plans_name": "nnUNetPlans",
            "transpose_forward": order,
            "transpose_backward": order,
            "label_manager": "LabelManager",
            "configurations": {"3d_fullres": configuration},
        }
    )
    labels = {"background": 0, **{f"class {value}": value for value in range(1, case.classes)}}
    properties = {
        "spacing": case.image_spacing,
        "shape_before_cropping": case.image_shape,
        "shape_after_cropping_and_before_resampling": case.image_shape,
        "bbox_used_for_cropping": [[0, size] for size in case.image_shape],
    }
    ready = plans.get_configuration("3d_fullres"), plans.get_label_manager({"labels": labels}), properties
    return lambda: convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans, *ready, num_threads_torch=torch.get_num_threads()
    )


def prepare_ours(logits, case: Case) -> Callable[[], np.ndarray]:
    from SegAutoPlanLib.images.source_header import SourceHeader
    from SegAutoPlanLib.inference.export import export
    from SegAutoPlanLib.preprocessing import CaseGeometry

    box = tuple((0, size) for size in case.image_shape)
    geometry = CaseGeometry(SourceHeader(tuple(case.image_spacing)), (0, 1, 2), case.image_shape, box)
    resampling = SimpleNamespace(probabilities=resampler())
    configuration = SimpleNamespace(spacing=(SPACING_MM,) * 3, resampling=resampling)
    return lambda: export(logits, geometry, configuration, label_scheme(case)).labels


def prepare_slabs(logits, case: Case) -> Callable[[], np.ndarray]:
    from SegAutoPlanLib.inference.resampled_labels import fill_labels_from_slabs
    from SegAutoPlanLib.inference.resampled_logits import grid_interpolation

    grid = grid_interpolation(case.shape, case.image_shape, [SPACING_MM] * 3, case.image_spacing, resampler())

    def labels() -> np.ndarray:
        result = np.zeros(case.image_shape, np.uint8)
        fill_labels_from_slabs(result, logits, grid, label_scheme(case))
        return result

    return labels


def resampler():
    from SegAutoPlanLib.planning.resampling import Resampler

    return Resampler("resample_data_or_seg_to_shape", order=1, order_z=0)


def label_scheme(case: Case):
    from SegAutoPlanLib.labels import LabelScheme

    return LabelScheme((("background", 0), *((f"class {value}", value) for value in range(1, case.classes))))


SIDES = {"nnunet": prepare_nnunet, "slabs": prepare_slabs, "ours": prepare_ours}

if __name__ == "__main__":
    main()
